//! The parse tree of one statement, by PostgreSQL's parser, TVIEW statements included.
//!
//! Invariant: the header of a TVIEW statement is overwritten as the extension does it (`tviews_core::syntax`), so that every token keeps its place.
//! Called by `Script`, and by whoever has SQL inside of a string.

use pg_query::protobuf::{CreateTableAsStmt, ScanToken, SelectStmt};
use pg_query::{NodeEnum, ParserOptions};
use tviews_core::syntax::{self, Kind};

pub struct Tree {
    pub node: NodeEnum,
    /// Set when the statement is one about TVIEWs in the native syntax.
    pub tview: Option<Kind>,
    pub tokens: Vec<ScanToken>,
}

impl Tree {
    pub fn parse(sql: &str) -> Result<Tree, String> {
        let tokens = pg_query::scan(sql).map_err(|e| message(&e))?.tokens;
        let places: Vec<usize> = tokens.iter().filter(|t| !is_comment(t)).map(|t| t.start as usize).collect();
        let mut text = sql.as_bytes().to_vec();
        let headers = syntax::overwrite(&mut text, &places);
        // Only letters were overwritten, by letters and blanks.
        let text = String::from_utf8(text).map_err(|e| e.to_string())?;
        let parsed = pg_query::parse(&text, ParserOptions::DEFAULT).map_err(|e| message(&e))?;
        let mut statements = parsed.protobuf.stmts;
        let first = if statements.len() == 1 { statements.pop() } else { None };
        let node = first.and_then(|s| s.stmt).and_then(|s| s.node).ok_or("it is not one statement")?;
        let tview = headers.first().map(|h| h.kind);
        Ok(Tree { node, tview, tokens })
    }

    /// The query of a CREATE … AS, and the statement around it.
    pub fn create_as(&self) -> Option<(&CreateTableAsStmt, &SelectStmt)> {
        match &self.node {
            NodeEnum::CreateTableAsStmt(create) => Some((create, select(create.query.as_ref()?.node.as_ref()?)?)),
            _ => None,
        }
    }

    /// Tokens that are no comments.
    pub fn words(&self) -> impl Iterator<Item = &ScanToken> {
        self.tokens.iter().filter(|t| !is_comment(t))
    }
}

pub fn select(node: &NodeEnum) -> Option<&SelectStmt> {
    match node {
        NodeEnum::SelectStmt(select) => Some(select),
        _ => None,
    }
}

pub fn is_comment(token: &ScanToken) -> bool {
    use pg_query::protobuf::Token;
    token.token == Token::SqlComment as i32 || token.token == Token::CComment as i32
}

/// What the parser says.
pub fn message(error: &pg_query::Error) -> String {
    match error {
        pg_query::Error::Parse(text) | pg_query::Error::Scan(text) => text.clone(),
        pg_query::Error::Decode(_) => "it is nested too deeply".into(),
        other => other.to_string(),
    }
}

/// Where the query of a CREATE … AS is, without what belongs to the statement around it.
pub fn query_of(tree: &Tree, text: &str) -> Option<(usize, usize)> {
    let words: Vec<&ScanToken> = tree.words().collect();
    let word = |t: &ScanToken| text[t.start as usize..t.end as usize].to_ascii_lowercase();
    let mut depth = 0;
    let as_at = words.iter().position(|t| {
        let word = word(t);
        depth += i32::from(word == "(") - i32::from(word == ")");
        depth == 0 && word == "as"
    })?;
    let mut end = words.len();
    let tail: Vec<String> = words[as_at..].iter().rev().take(5).map(|t| word(t)).collect();
    let ends = |with: &[&str]| tail.len() > with.len() && with.iter().rev().zip(&tail).all(|(a, b)| a == b);
    for with in [
        &["with", "data"][..],
        &["with", "no", "data"],
        &["with", "check", "option"],
        &["with", "local", "check", "option"],
        &["with", "cascaded", "check", "option"],
    ] {
        if ends(with) {
            end -= with.len();
        }
    }
    Some((words.get(as_at + 1)?.start as usize, words.get(end.checked_sub(1)?)?.end as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_what_stands_behind_as() {
        for (text, query) in [
            ("CREATE VIEW v AS SELECT 1 AS a", "SELECT 1 AS a"),
            ("CREATE MATERIALIZED VIEW v (a) WITH (fillfactor = 80) AS (SELECT 1) WITH NO DATA", "(SELECT 1)"),
            ("CREATE TVIEW v AS /* x */ WITH a AS (SELECT 1) TABLE a WITH DATA -- y", "WITH a AS (SELECT 1) TABLE a"),
            ("CREATE VIEW v AS SELECT 1 WITH CASCADED CHECK OPTION", "SELECT 1"),
        ] {
            let (start, end) = query_of(&Tree::parse(text).unwrap(), text).unwrap();
            assert_eq!(&text[start..end], query);
        }
    }

    #[test]
    fn tviews_are_read() {
        let tree = Tree::parse("CREATE LOGGED TVIEW IF NOT EXISTS s.v WITH (key = 'a') AS SELECT a FROM t").unwrap();
        assert!(matches!(tree.tview, Some(Kind::Create { or_replace: false, logged: Some(true) })));
        assert_eq!(tree.create_as().unwrap().0.into.as_ref().unwrap().rel.as_ref().unwrap().relname, "v");
        let long = format!("SELECT {}", vec!["a"; 300].join(" || "));
        std::thread::Builder::new()
            .stack_size(1 << 28)
            .spawn(move || assert!(Tree::parse(&long).is_ok()))
            .unwrap()
            .join()
            .unwrap();
        assert!(Tree::parse("SELECT FROM FROM").err().unwrap().contains("syntax error"));
    }
}
