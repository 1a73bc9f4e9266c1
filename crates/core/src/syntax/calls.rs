//! Which functions and types a procedural text names without a schema: names that a search_path resolves when the text runs.
//!
//! Comments, strings, names with a schema, and names behind a word after which no call can be (`WITH helper (x) AS`) are left out. Semantics: every
//! name found is followed by a parenthesis, or stands behind `::`. It may still be no function or type: keywords, variables with a subscript. The
//! caller looks the names up. Strings that are executed are not looked into.

use std::collections::BTreeSet;

/// The names without a schema in a text, as the server folds them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub functions: BTreeSet<String>,
    pub types: BTreeSet<String>,
}

/// After these words a name is a new name, or the name of a relation.
const NO_CALL: &[&str] =
    &["as", "from", "function", "index", "into", "join", "on", "recursive", "references", "table", "update", "with"];

#[derive(Debug, PartialEq)]
enum Token {
    Name(String, bool),
    Dot,
    Open,
    Cast,
    Other,
}

/// Between DECLARE and BEGIN, a name after another one is a type, but not after these.
const NO_VARIABLE: &[&str] = &[
    "and", "as", "by", "cursor", "declare", "default", "else", "for", "from", "in", "is", "join", "not", "or",
    "select", "then", "when", "where",
];

pub fn names(text: &str) -> Names {
    let mut found = Names::default();
    let tokens = tokens(text);
    let mut declares = false;
    for (i, token) in tokens.iter().enumerate() {
        let Token::Name(name, quoted) = token else { continue };
        let before = i.checked_sub(1).map(|b| &tokens[b]);
        let after = tokens.get(i + 1);
        if before == Some(&Token::Dot) || after == Some(&Token::Dot) {
            continue;
        }
        let word =
            |t: Option<&Token>, words: &[&str]| matches!(t, Some(Token::Name(n, false)) if words.contains(&n.as_str()));
        match token {
            Token::Name(n, false) if n == "declare" => declares = true,
            Token::Name(n, false) if n == "begin" => declares = false,
            _ => {}
        }
        let declared = declares && matches!(before, Some(Token::Name(n, _)) if !NO_VARIABLE.contains(&n.as_str()));
        if before == Some(&Token::Cast) || declared {
            found.types.insert(name.clone());
        } else if after == Some(&Token::Open) && !word(before, NO_CALL) && (*quoted || !is_reserved(name)) {
            found.functions.insert(name.clone());
        }
    }
    found
}

/// Words before a parenthesis that belongs to no call.
fn is_reserved(name: &str) -> bool {
    [
        "if", "elsif", "while", "when", "then", "and", "or", "not", "in", "values", "return", "select", "using",
        "over", "any", "all",
    ]
    .contains(&name)
        || NO_CALL.contains(&name)
}

fn tokens(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        at += match rest {
            [b'-', b'-', ..] => rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()),
            [b'/', b'*', ..] => comment(rest),
            [b'e' | b'E', b'\'', ..] => 1 + string(&rest[1..], true),
            [b'\'', ..] => string(rest, false),
            [b'$', ..] => dollars(rest),
            [b'"', ..] => {
                let length = quoted(rest);
                let inside = text.get(at + 1..at + length - 1).unwrap_or_default();
                out.push(Token::Name(inside.replace("\"\"", "\""), true));
                length
            }
            [b, ..] if b.is_ascii_alphabetic() || *b == b'_' || *b >= 0x80 => {
                let part = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || *b == b'$' || *b >= 0x80;
                let length = rest.iter().position(|b| !part(b)).unwrap_or(rest.len());
                out.push(Token::Name(text[at..at + length].to_lowercase(), false));
                length
            }
            [b':', b':', ..] => {
                out.push(Token::Cast);
                2
            }
            [b, ..] => {
                match b {
                    b'.' => out.push(Token::Dot),
                    b'(' => out.push(Token::Open),
                    b if b.is_ascii_whitespace() => {}
                    _ => out.push(Token::Other),
                }
                1
            }
            [] => 1,
        };
    }
    out
}

/// The length of a comment; comments nest.
fn comment(text: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at + 1 < text.len() {
        match &text[at..at + 2] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn string(text: &[u8], escapes: bool) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'\\' if escapes => at += 2,
            b'\'' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

fn quoted(text: &[u8]) -> usize {
    let mut at = 1;
    while at < text.len() {
        match &text[at..] {
            [b'"', b'"', ..] => at += 2,
            [b'"', ..] => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// The length of `$tag$ … $tag$`, or of a parameter.
fn dollars(text: &[u8]) -> usize {
    let tag = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || *b >= 0x80;
    let length = 1 + text[1..].iter().position(|b| !tag(b)).unwrap_or(text.len() - 1);
    if text.get(length) != Some(&b'$') || text.get(1).is_some_and(u8::is_ascii_digit) {
        return length;
    }
    let mark = &text[..=length];
    let inside = &text[mark.len()..];
    let end = inside.windows(mark.len()).position(|w| w == mark);
    end.map_or(text.len(), |e| e + 2 * mark.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn functions(text: &str) -> Vec<String> {
        names(text).functions.into_iter().collect()
    }

    #[test]
    fn calls() {
        assert_eq!(functions("BEGIN RETURN helper($1) + app.other(2) + Upper ('x'); END"), ["helper", "upper"]);
        assert_eq!(functions("IF (a) THEN x := \"Helper\"(1); END IF; RETURN (1);"), ["Helper"]);
        assert_eq!(
            functions("WITH helper (a) AS (SELECT 1) SELECT * FROM helper (2) WHERE a IN (1)"),
            Vec::<String>::new()
        );
        assert_eq!(functions("SELECT f(g(1), h (2))"), ["f", "g", "h"]);
    }

    #[test]
    fn what_is_no_text() {
        assert_eq!(functions("-- helper(1)\n/* helper(2) /* x(1) */ y(2) */ a('helper(3)', 'it''s b(1)')"), ["a"]);
        assert_eq!(functions("x := $$helper(1)$$ || $a$b(1) $$ c(1) $a$ || d($1)"), ["d"]);
        assert_eq!(functions("x := E'\\'helper(1)' || e(1)"), ["e"]);
        assert_eq!(functions("'never ends helper(1)"), Vec::<String>::new());
        assert_eq!(functions("\"never ends"), Vec::<String>::new());
        assert_eq!(functions("/* never ends"), Vec::<String>::new());
        assert_eq!(functions("$a$ never ends"), Vec::<String>::new());
        assert_eq!(functions("\""), Vec::<String>::new());
        assert_eq!(functions("\"ä"), Vec::<String>::new());
        assert_eq!(functions("$"), Vec::<String>::new());
    }

    #[test]
    fn types() {
        let found = names("RETURN x::earth + y :: public.cube + '1'::\"Big\"::numeric(10, 2)");
        assert_eq!(found.types.into_iter().collect::<Vec<_>>(), ["Big", "earth", "numeric"]);
        let found = names(
            "DECLARE a pair; b CONSTANT small := f(1); c app.pair; d t%ROWTYPE; e CURSOR FOR SELECT x FROM y; BEGIN a b; END",
        );
        assert_eq!(found.types.into_iter().collect::<Vec<_>>(), ["constant", "cursor", "from", "pair", "small", "t"]);
        assert_eq!(found.functions.into_iter().collect::<Vec<_>>(), ["f"]);
    }
}
