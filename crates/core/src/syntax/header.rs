//! Finds TVIEW statements in tokenised text and overwrites their headers with words the server's grammar knows.
//!
//! Invariant: the text keeps its length and every token that stays keeps its place. `TVIEW` becomes `TABLE`, which is as long and takes all clauses
//! of a TVIEW (column names, WITH, TABLESPACE, AS query, WITH NO DATA; EXPLAIN); words that `TABLE` does not take become blanks. Only a
//! statement that starts with one of the headers counts: no server accepts such a statement, so nothing that was valid changes meaning.
//! Called by the parser detour.

/// The kind of a TVIEW statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `logged`: the word LOGGED or UNLOGGED was written.
    Create {
        or_replace: bool,
        logged: Option<bool>,
    },
    Drop,
    Alter,
    /// `skip_data`: WITH NO DATA.
    Refresh {
        concurrently: bool,
        skip_data: bool,
    },
    Comment,
}

/// One TVIEW statement: byte offsets of its first token and of the word TVIEW.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub first: usize,
    pub word: usize,
    pub kind: Kind,
}

/// Overwrites all headers in `text`; `tokens` are the offsets of its tokens, ascending. Statements end at `;` outside parentheses. (Statements
/// in a BEGIN ATOMIC body are not told apart: TVIEW statements are not allowed there and stay errors.)
pub fn overwrite(text: &mut [u8], tokens: &[usize]) -> Vec<Header> {
    let mut headers = Vec::new();
    let mut start = 0;
    let mut depth = 0i32;
    for (i, &at) in tokens.iter().enumerate() {
        match text[at] {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b';' if depth <= 0 => {
                headers.extend(Statement { text, tokens: &tokens[start..i] }.overwrite());
                (start, depth) = (i + 1, 0);
            }
            _ => {}
        }
    }
    headers.extend(Statement { text, tokens: &tokens[start..] }.overwrite());
    headers
}

struct Statement<'a> {
    text: &'a mut [u8],
    tokens: &'a [usize],
}

impl Statement<'_> {
    fn overwrite(&mut self) -> Option<Header> {
        let first = *self.tokens.first()?;
        let begin = self.after_explain();
        let (word, kind, blanks) = if self.is(begin, "create") {
            let mut next = begin + 1;
            let or_replace = self.is(next, "or") && self.is(next + 1, "replace");
            next += 2 * usize::from(or_replace);
            let logged = if self.is(next, "logged") {
                Some(true)
            } else if self.is(next, "unlogged") {
                Some(false)
            } else {
                None
            };
            next += usize::from(logged.is_some());
            (next, Kind::Create { or_replace, logged }, begin + 1..next)
        } else if begin > 0 {
            return None;
        } else if self.is(0, "drop") {
            (1, Kind::Drop, 0..0)
        } else if self.is(0, "alter") {
            (1, Kind::Alter, 0..0)
        } else if self.is(0, "comment") && self.is(1, "on") {
            (2, Kind::Comment, 0..0)
        } else if self.is(0, "refresh") {
            (1, Kind::Refresh { concurrently: self.is(2, "concurrently"), skip_data: false }, 0..1)
        } else {
            return None;
        };
        if !self.is(word, "tview") {
            return None;
        }
        let kind = match kind {
            Kind::Refresh { concurrently, .. } => self.blank_refresh_options(concurrently),
            kind => kind,
        };
        blanks.for_each(|i| self.blank(i));
        let at = self.tokens[word];
        // The grammar has DEPENDS ON EXTENSION for indexes, not for tables.
        let depends = kind == Kind::Alter
            && (0..self.tokens.len())
                .any(|i| self.is(i, "depends") && self.is(i + 1, "on") && self.is(i + 2, "extension"));
        self.text[at..at + 5].copy_from_slice(if depends { b"INDEX" } else { b"TABLE" });
        Some(Header { first, word: at, kind })
    }

    /// Index of the token after `EXPLAIN [ANALYZE] [VERBOSE]` or `EXPLAIN (...)`, 0 if there is none.
    fn after_explain(&self) -> usize {
        if !self.is(0, "explain") {
            return 0;
        }
        let mut next = 1;
        if self.byte(next) == Some(b'(') {
            let mut depth = 0;
            while let Some(byte) = self.byte(next) {
                depth += i32::from(byte == b'(') - i32::from(byte == b')');
                next += 1;
                if depth == 0 {
                    break;
                }
            }
            return next;
        }
        while ["analyze", "analyse", "verbose"].iter().any(|word| self.is(next, word)) {
            next += 1;
        }
        next
    }

    /// `REFRESH TVIEW CONCURRENTLY x WITH NO DATA` is parsed as `TABLE x`, so that the name has its position. CONCURRENTLY and WITH are
    /// reserved where a relation's name can stand.
    fn blank_refresh_options(&mut self, concurrently: bool) -> Kind {
        if concurrently {
            self.blank(2);
        }
        let end = self.tokens.len();
        let mut skip_data = false;
        if end > 3 && self.is(end - 1, "data") {
            skip_data = self.is(end - 2, "no");
            let with = end - 2 - usize::from(skip_data);
            if self.is(with, "with") {
                (with..end).for_each(|i| self.blank(i));
            } else {
                skip_data = false;
            }
        }
        Kind::Refresh { concurrently, skip_data }
    }

    fn byte(&self, token: usize) -> Option<u8> {
        self.tokens.get(token).map(|&at| self.text[at])
    }

    /// Is this token the unquoted word?
    fn is(&self, token: usize, word: &str) -> bool {
        self.tokens.get(token).is_some_and(|&at| {
            let end = at + word_length(&self.text[at..]);
            self.text[at..end].eq_ignore_ascii_case(word.as_bytes())
        })
    }

    fn blank(&mut self, token: usize) {
        let at = self.tokens[token];
        let end = at + word_length(&self.text[at..]);
        self.text[at..end].fill(b' ');
    }
}

/// Length of the identifier that `text` starts with (scan.l: ident_cont), 0 if none.
fn word_length(text: &[u8]) -> usize {
    text.iter()
        .take_while(|&&byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::may_concern_tviews;
    use proptest::prelude::*;

    /// Offsets as the server's scanner would give them, for simple text: words and single characters.
    fn parse(sql: &str) -> (String, Vec<Header>) {
        let mut text = sql.as_bytes().to_vec();
        let mut tokens = Vec::new();
        let mut at = 0;
        while at < text.len() {
            if text[at].is_ascii_whitespace() {
                at += 1;
                continue;
            }
            tokens.push(at);
            at += word_length(&text[at..]).max(1);
        }
        let headers = overwrite(&mut text, &tokens);
        (String::from_utf8(text).unwrap(), headers)
    }

    fn kinds(sql: &str) -> Vec<Kind> {
        parse(sql).1.into_iter().map(|header| header.kind).collect()
    }

    #[test]
    fn create() {
        let (text, headers) = parse("create or replace LOGGED tview x AS SELECT tview");
        assert_eq!(text, "create                   TABLE x AS SELECT tview");
        assert_eq!(
            headers,
            [Header { first: 0, word: 25, kind: Kind::Create { or_replace: true, logged: Some(true) } }]
        );
        assert_eq!(kinds("EXPLAIN (ANALYZE, COSTS OFF) CREATE TVIEW x AS SELECT 1").len(), 1);
        assert_eq!(kinds("explain analyze verbose CREATE UNLOGGED TVIEW x AS SELECT 1").len(), 1);
    }

    #[test]
    fn refresh() {
        let (text, headers) = parse("REFRESH TVIEW CONCURRENTLY s.x WITH NO DATA; TABLE x");
        assert_eq!(text, "        TABLE              s.x             ; TABLE x");
        assert_eq!(headers[0].kind, Kind::Refresh { concurrently: true, skip_data: true });
        assert_eq!(kinds("REFRESH TVIEW data WITH DATA"), [Kind::Refresh { concurrently: false, skip_data: false }]);
        assert_eq!(parse("REFRESH TVIEW data").0, "        TABLE data");
    }

    #[test]
    fn statement_position_only() {
        for sql in [
            "SELECT tview FROM tview",
            "CREATE VIEW tview AS SELECT 1",
            "CREATE TABLE tview (tview int)",
            "DROP VIEW tview",
            "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; CREATE TVIEW x AS SELECT 1)",
            "EXPLAIN DROP TVIEW x",
            "CREATE \"tview\" x",
        ] {
            assert_eq!(parse(sql), (sql.to_string(), vec![]), "{sql}");
        }
        assert_eq!(kinds("SELECT 1; DROP TVIEW a; ALTER TVIEW b RENAME TO c; COMMENT ON TVIEW c IS NULL;").len(), 3);
    }

    const WORDS: &[&str] = &[
        "CREATE",
        "or",
        "REPLACE",
        "Logged",
        "UNLOGGED",
        "TVIEW",
        "tview",
        "\"tview\"",
        "x",
        "tviews",
        "AS",
        "SELECT",
        "(",
        ")",
        "EXPLAIN",
        "analyze",
        "DROP",
        "ALTER",
        "COMMENT",
        "ON",
        "REFRESH",
        "CONCURRENTLY",
        "WITH",
        "no",
        "DATA",
        "DEPENDS",
        "EXTENSION",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]
        /// Statements one by one, and as one text.
        #[test]
        fn only_words_of_headers_are_overwritten(
            statements in proptest::collection::vec(
                (proptest::bool::weighted(0.7), proptest::collection::vec(0..WORDS.len(), 0..9)), 1..4
            ),
            space in prop_oneof![Just(" "), Just("\n  ")],
        ) {
            let statements: Vec<String> = statements
                .into_iter()
                .map(|(is_header, words)| {
                    let words = words.into_iter().map(|w| WORDS[w]).collect::<Vec<_>>().join(space);
                    if is_header { format!("{} TVIEW {words}", if words.len() % 2 > 0 { "CREATE" } else { "REFRESH" }) } else { words }
                })
                // A parenthesis that stays open takes in the statements that follow.
                .filter(|text| text.matches('(').count() == text.matches(')').count())
                .collect();
            let (mut texts, mut headers) = (Vec::new(), Vec::new());
            let mut start = 0;
            for sql in &statements {
                let (text, found) = parse(sql);
                prop_assert!(found.len() <= 1);
                prop_assert!(found.is_empty() || may_concern_tviews(sql.as_bytes()), "the search lets it pass: {}", sql);
                prop_assert_eq!(text.len(), sql.len());
                let changed = sql.bytes().zip(text.bytes()).filter(|(was, is)| was != is);
                prop_assert!(!found.is_empty() || changed.clone().count() == 0);
                prop_assert!(changed.clone().all(|(was, _)| was.is_ascii_alphabetic()));
                prop_assert!(parse(&text).1.is_empty(), "nothing is left of it: {}", text);
                headers.extend(found.into_iter().map(|h| Header { first: h.first + start, word: h.word + start, ..h }));
                start += sql.len() + 2;
                texts.push(text);
            }
            let (text, found) = parse(&statements.join("; "));
            prop_assert_eq!(text, texts.join("; "));
            prop_assert_eq!(found, headers);
        }
    }
}
