//! `tviews.explain('x', analyze => true)`: ANALYZE is a reserved word, which the server's grammar does not take as the name of an argument.
//!
//! Invariant: as for headers. The name and its arrow become blanks where that leaves the argument in its place: in `explain(…, analyze => …)` with one
//! argument before it that has no name. `analyze =>` is a syntax error of the server everywhere, so nothing that was valid changes meaning.
//! Called by the parser detour.

/// Makes `analyze => …` the second argument of functions called `explain`; whether there was any. `tokens` are the offsets of the text's tokens, ascending.
pub fn place_analyze(text: &mut [u8], tokens: &[usize]) -> bool {
    let found: Vec<usize> = (1..tokens.len().saturating_sub(1)).filter(|i| is_second(text, tokens, *i)).collect();
    for i in &found {
        text[tokens[*i]..tokens[*i] + ANALYZE.len()].fill(b' ');
        text[tokens[i + 1]..tokens[i + 1] + ARROW.len()].fill(b' ');
    }
    !found.is_empty()
}

const ANALYZE: &[u8] = b"analyze";
const ARROW: &[u8] = b"=>";

fn is_second(text: &[u8], tokens: &[usize], analyze: usize) -> bool {
    let starts = |i: usize, with: &[u8]| text[tokens[i]..].starts_with(with);
    let word = |i: usize, word: &[u8]| {
        let rest = &text[tokens[i]..];
        let end = rest.iter().position(|b| !b.is_ascii_alphanumeric() && *b != b'_' && *b < 0x80).unwrap_or(rest.len());
        rest[..end].eq_ignore_ascii_case(word)
    };
    if !word(analyze, ANALYZE) || !starts(analyze + 1, ARROW) || !starts(analyze - 1, b",") {
        return false;
    }
    let mut depth = 0;
    for i in (1..analyze - 1).rev() {
        match text[tokens[i]] {
            b')' | b']' => depth += 1,
            b'(' if depth == 0 => return i + 1 < analyze - 1 && word(i - 1, b"explain"),
            b'(' | b'[' => depth -= 1,
            b',' | b';' if depth == 0 => return false,
            b'=' if depth == 0 && starts(i, ARROW) => return false,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::place_analyze;

    /// Tokens are words, strings, `=>` and single characters.
    fn placed(sql: &str) -> String {
        let mut text = sql.as_bytes().to_vec();
        let (mut tokens, mut at) = (Vec::new(), 0);
        while at < text.len() {
            let end =
                |also: fn(&u8) -> bool| text[at + 1..].iter().position(|b| !also(b)).map_or(text.len(), |n| at + 1 + n);
            let next = match text[at] {
                b'\'' => end(|b| *b != b'\'') + 1,
                b if b.is_ascii_alphabetic() => end(u8::is_ascii_alphanumeric),
                b'=' if text[at..].starts_with(b"=>") => at + 2,
                _ => at + 1,
            };
            if text[at] != b' ' {
                tokens.push(at);
            }
            at = next;
        }
        let any = place_analyze(&mut text, &tokens);
        let result = String::from_utf8(text).unwrap();
        assert_eq!(any, result != sql);
        result
    }

    #[test]
    fn it_becomes_the_second_argument() {
        assert_eq!(
            placed("SELECT tviews.explain('x', analyze => true)"),
            "SELECT tviews.explain('x',            true)"
        );
        assert_eq!(placed("select EXPLAIN('x',ANALYZE=>f(1, 2)) t"), "select EXPLAIN('x',         f(1, 2)) t");
        assert_eq!(placed("explain(f(a, b => 1), analyze => a)"), "explain(f(a, b => 1),            a)");
        assert_eq!(
            placed("SELECT explain(a[1], analyze => b), explain(c, analyze => d)"),
            "SELECT explain(a[1],            b), explain(c,            d)"
        );
    }

    #[test]
    fn elsewhere_it_stays() {
        for sql in [
            "SELECT tviews.explain(analyze => true)",
            "SELECT tviews.explain(analyze => true, tview => 'x')",
            "SELECT tviews.explain(tview => 'x', analyze => true)",
            "SELECT tviews.explain('x', 'y', analyze => true)",
            "SELECT tviews.explains('x', analyze => true)",
            "SELECT tviews.explain('x', analyzer => true)",
            "SELECT tviews.explain('x', analyze)",
            "SELECT tviews.explain(, analyze => true)",
            "EXPLAIN (ANALYZE, COSTS OFF) SELECT 1",
            "ANALYZE tviews",
            ", analyze =>",
            "explain ; , analyze => 1",
            "'explain(x, analyze => true)'",
        ] {
            assert_eq!(placed(sql), sql);
        }
    }
}
