//! Cuts a script into statements, as psql does: quotes, comments, dollar quotes, parentheses, bodies in BEGIN ATOMIC, lines for psql, data of COPY.
//!
//! Invariant: statements are slices of the text in its order, and what is between them is white space, comments, `;`, lines for psql and data.
//! Nothing is parsed here, so that a statement that cannot be parsed leaves the others as they are. Called by `Script::new`.

/// A statement without its `;`, comments before it left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    pub start: usize,
    pub end: usize,
    /// Whether a `;` follows.
    pub terminated: bool,
}

/// The statements of a text.
pub fn pieces(text: &str) -> Vec<Piece> {
    Splitter {
        text: text.as_bytes(),
        at: 0,
        start: None,
        last: 0,
        depth: 0,
        words: Vec::new(),
        body: 0,
        pieces: Vec::new(),
    }
    .run()
}

struct Splitter<'a> {
    text: &'a [u8],
    at: usize,
    /// Where the statement begins, once it has.
    start: Option<usize>,
    /// Where its last token ends.
    last: usize,
    depth: usize,
    /// The first words of the statement, in lower case.
    words: Vec<String>,
    /// How many BEGIN and CASE of a body are open.
    body: usize,
    pieces: Vec<Piece>,
}

/// More words than tell what a statement is, up to COPY with a list of columns.
const WORDS: usize = 64;

impl Splitter<'_> {
    fn run(mut self) -> Vec<Piece> {
        while let Some(&byte) = self.text.get(self.at) {
            let start = self.at;
            match byte {
                b'-' if self.looking_at("--") => self.at = self.line_end(),
                b'/' if self.looking_at("/*") => self.comment(),
                b'\\' => {
                    // A line for psql; `\;` and the like end no statement.
                    self.at = self.line_end();
                    if self.start.is_some() {
                        self.finish(start, false);
                    }
                }
                b';' if self.depth == 0 && self.body == 0 => {
                    let is_copy = self.reads_data();
                    self.at += 1;
                    self.finish(start, true);
                    if is_copy {
                        self.data();
                    }
                }
                _ if byte.is_ascii_whitespace() => self.at += 1,
                _ => self.token(byte),
            }
        }
        self.finish(self.text.len(), false);
        self.pieces
    }

    fn token(&mut self, byte: u8) {
        self.start.get_or_insert(self.at);
        match byte {
            b'\'' => {
                let escapes = self.at > 0
                    && matches!(self.text[self.at - 1], b'e' | b'E')
                    && !self.is_word_at(self.at.wrapping_sub(2));
                self.quoted(b'\'', escapes);
            }
            b'"' => self.quoted(b'"', false),
            b'$' if self.dollar() => {}
            b'(' | b'[' => {
                self.depth += 1;
                self.at += 1;
            }
            b')' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.at += 1;
            }
            _ if is_word(byte) => self.word(),
            _ => self.at += 1,
        }
        self.last = self.at;
    }

    fn word(&mut self) {
        let start = self.at;
        while self.text.get(self.at).is_some_and(|&b| is_word(b) || b == b'$') {
            self.at += 1;
        }
        let word = String::from_utf8_lossy(&self.text[start..self.at]).to_ascii_lowercase();
        if self.makes_routine() && self.depth == 0 {
            match word.as_str() {
                "begin" => self.body += 1,
                "case" if self.body > 0 => self.body += 1,
                "end" => self.body = self.body.saturating_sub(1),
                _ => {}
            }
        }
        if self.words.len() < WORDS {
            self.words.push(word);
        }
    }

    fn makes_routine(&self) -> bool {
        let mut words = self.words.iter().map(String::as_str);
        words.next() == Some("create") && words.take(3).any(|w| matches!(w, "function" | "procedure"))
    }

    fn reads_data(&self) -> bool {
        self.words.first().is_some_and(|w| w == "copy")
            && self.words.windows(2).any(|w| w[0] == "from" && w[1] == "stdin")
    }

    /// Data of COPY: lines until one that is `\.`.
    fn data(&mut self) {
        self.at = self.line_end();
        while self.at < self.text.len() {
            self.at += 1;
            let start = self.at.min(self.text.len());
            self.at = self.line_end();
            if self.text[start..self.at].trim_ascii_end() == b"\\." {
                return;
            }
        }
    }

    fn finish(&mut self, end: usize, terminated: bool) {
        if let Some(start) = self.start.take() {
            self.pieces.push(Piece { start, end: self.last.min(end), terminated });
        }
        (self.depth, self.body) = (0, 0);
        self.words.clear();
    }

    fn quoted(&mut self, quote: u8, escapes: bool) {
        self.at += 1;
        while let Some(&byte) = self.text.get(self.at) {
            self.at += 1;
            if byte == b'\\' && escapes {
                self.at += 1;
            } else if byte == quote {
                if self.text.get(self.at) != Some(&quote) {
                    break;
                }
                self.at += 1;
            }
        }
        self.at = self.at.min(self.text.len());
    }

    /// A dollar quote, if one begins here.
    fn dollar(&mut self) -> bool {
        let rest = &self.text[self.at + 1..];
        let length = rest.iter().take_while(|&&b| is_word(b)).count();
        if rest.get(length) != Some(&b'$') || rest.first().is_some_and(u8::is_ascii_digit) {
            return false;
        }
        let tag = &self.text[self.at..self.at + length + 2];
        let inside = self.at + tag.len();
        let found = self.text[inside..].windows(tag.len()).position(|w| w == tag);
        self.at = found.map_or(self.text.len(), |f| inside + f + tag.len());
        true
    }

    fn comment(&mut self) {
        let mut depth = 0;
        while self.at < self.text.len() {
            if self.looking_at("/*") {
                depth += 1;
                self.at += 2;
            } else if self.looking_at("*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return;
                }
            } else {
                self.at += 1;
            }
        }
    }

    fn looking_at(&self, text: &str) -> bool {
        self.text[self.at..].starts_with(text.as_bytes())
    }

    fn line_end(&self) -> usize {
        let rest = &self.text[self.at.min(self.text.len())..];
        rest.iter().position(|&b| b == b'\n').map_or(self.text.len(), |n| self.at + n)
    }

    fn is_word_at(&self, at: usize) -> bool {
        self.text.get(at).is_some_and(|&b| is_word(b))
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        pieces(text).into_iter().map(|p| &text[p.start..p.end]).collect()
    }

    #[test]
    fn quotes_and_comments_hide_semicolons() {
        let text = "-- a;\nSELECT ';', E'\\';', \";\", $$;$$, $x$ $$ ; $x$ /* ; /* ; */ ; */ ; SELECT 2 -- ;\n";
        assert_eq!(split(text), ["SELECT ';', E'\\';', \";\", $$;$$, $x$ $$ ; $x$", "SELECT 2"]);
        assert_eq!(split("SELECT name'x;', $1; b"), ["SELECT name'x;', $1", "b"]);
    }

    #[test]
    fn bodies_and_rules_are_one_statement() {
        let text = "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; END; BEGIN; COMMIT;";
        assert_eq!(split(text).len(), 3);
        assert_eq!(
            split("CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); x"),
            ["CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)", "x"]
        );
    }

    #[test]
    fn lines_for_psql_and_data_are_left_out() {
        let text = "\\set x 'a\nCOPY t (a, b) FROM stdin;\n1\tit's\n\\.\nSELECT 1\n\\gexec\nCOPY t TO stdout; SELECT 2";
        assert_eq!(split(text), ["COPY t (a, b) FROM stdin", "SELECT 1", "COPY t TO stdout", "SELECT 2"]);
    }

    #[test]
    fn unfinished_text_ends_with_the_file() {
        for text in ["SELECT 'a", "SELECT $$a", "SELECT \"a", "SELECT (1; 2", "SELECT E'a\\"] {
            assert_eq!(split(text), [text]);
        }
        assert_eq!(split("/* a"), Vec::<&str>::new());
    }
}
