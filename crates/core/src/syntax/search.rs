//! Decides cheaply whether a query string can concern TVIEWs at all: the whole cost of the native syntax for other queries.
//!
//! Invariant: true for every text with a TVIEW statement or a `CREATE UNLOGGED MATERIALIZED VIEW`; rarely true otherwise.

/// One pass over the text, by `v`: a rare letter that both `tview` and `unlogged materialized view` contain, followed by `iew`.
pub fn may_concern_tviews(text: &[u8]) -> bool {
    let mut unlogged = None;
    memchr::memchr2_iter(b'v', b'V', text).any(|at| {
        follows(text, at, b"view")
            && ((at > 0 && text[at - 1].eq_ignore_ascii_case(&b't'))
                || *unlogged.get_or_insert_with(|| has_unlogged(text)))
    })
}

#[cold]
fn has_unlogged(text: &[u8]) -> bool {
    memchr::memchr2_iter(b'u', b'U', text).any(|at| follows(text, at, b"unlogged"))
}

fn follows(text: &[u8], at: usize, word: &[u8]) -> bool {
    text.get(at..at + word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::may_concern_tviews as search;

    #[test]
    fn finds_what_concerns_us() {
        assert!(search(b"CREATE TVIEW x AS SELECT 1"));
        assert!(search(b"tview"));
        assert!(search(b"create unlogged materialized view v as select 1"));
        assert!(search(b"SELECT * FROM v, view; CREATE UNLOGGED MATERIALIZED VIEW v"));
    }

    #[test]
    fn leaves_the_rest_alone() {
        assert!(!search(b""));
        assert!(!search(b"view"));
        assert!(!search(b"CREATE MATERIALIZED VIEW v AS SELECT 1"));
        assert!(!search(b"CREATE UNLOGGED TABLE v (a int)"));
        assert!(!search(b"SELECT tvie"));
    }
}
