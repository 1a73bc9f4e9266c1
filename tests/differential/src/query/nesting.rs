//! Which constructs a query has, and how deep below other queries.
//! Invariant: reads what the generators write, keywords in upper case and names in lower case or quotes. Called by `run` for every TVIEW that
//! is created, so that a run can say which constructs it has nested.

use crate::tally::Tally;
use std::collections::BTreeSet;

/// Constructs by the words that begin them.
const CONSTRUCTS: &[(&str, &[&str])] = &[
    ("inner join", &["JOIN"]),
    ("left or right join", &["LEFT", "RIGHT"]),
    ("full join", &["FULL"]),
    ("cross join", &["CROSS"]),
    ("WHERE", &["WHERE"]),
    ("EXISTS", &["EXISTS"]),
    ("IN, ANY, ALL", &["IN(", "ANY(", "ALL("]),
    ("scalar sub-query", &["SCALAR("]),
    ("sub-query in FROM", &["FROM(", "JOIN("]),
    ("LATERAL sub-query", &["LATERAL("]),
    ("CTE", &["AS(", "MATERIALIZED("]),
    ("GROUP BY", &["GROUP BY"]),
    ("HAVING", &["HAVING"]),
    ("FILTER", &["FILTER"]),
    ("DISTINCT", &["SELECT DISTINCT"]),
    ("DISTINCT ON", &["DISTINCT ON"]),
    ("window", &["OVER"]),
    ("UNION", &["UNION"]),
    ("INTERSECT", &["INTERSECT"]),
    ("EXCEPT", &["EXCEPT"]),
    ("LIMIT", &["LIMIT", "FETCH"]),
];

/// Levels that are counted: 1 is the query itself.
const LEVELS: usize = 3;

/// How many TVIEWs had which construct at which level.
pub type Nesting = Tally<Place>;

/// Number of a construct in `CONSTRUCTS`, and level.
type Place = (usize, usize);

impl Nesting {
    /// Counts what a query has.
    pub fn add_query(&mut self, sql: &str) {
        of(sql).into_iter().for_each(|place| self.add(place));
    }

    /// How many constructs a query has at the last level that are seldom there.
    pub fn rare(sql: &str) -> usize {
        let often = ["inner join", "left or right join", "WHERE", "GROUP BY", "FILTER", "DISTINCT", "HAVING"];
        of(sql).into_iter().filter(|(c, l)| *l == LEVELS && !often.contains(&CONSTRUCTS[*c].0)).count()
    }

    /// What occurred less often than once in `cases_per_place` cases at a level, or in twice as many at the last one.
    pub fn missing(&self, cases: u64, cases_per_place: u64) -> Vec<String> {
        let least = |level| (cases / if level < LEVELS { cases_per_place } else { 2 * cases_per_place }).max(1);
        let places = (0..CONSTRUCTS.len()).flat_map(|c| (1..=LEVELS).map(move |l| (c, l)));
        let rare = places.filter(|(c, l)| self.get(&(*c, *l)) < least(*l));
        rare.map(|(c, l)| format!("{} at level {l} ({} of {})", CONSTRUCTS[c].0, self.get(&(c, l)), least(l))).collect()
    }

    pub fn print(&self) {
        println!("\nconstructs, by number of TVIEWs that have them at level 1, 2, 3 of nested queries");
        for (c, (text, _)) in CONSTRUCTS.iter().enumerate() {
            let counts: String = (1..=LEVELS).map(|l| format!("{:>8}", self.get(&(c, l)))).collect();
            println!("{counts}  {text}");
        }
    }
}

/// Every construct, by its number in `CONSTRUCTS`, with every level at which it stands. Levels below the third count as the third.
fn of(sql: &str) -> BTreeSet<Place> {
    let mut found = BTreeSet::new();
    // for each open parenthesis: whether a query is in it
    let mut open: Vec<bool> = vec![];
    let words = words(sql);
    for (i, word) in words.iter().enumerate() {
        let level = (1 + open.iter().filter(|q| **q).count()).min(LEVELS);
        let previous = |n: usize| i.checked_sub(n).map_or("", |at| words[at].as_str());
        let begins = |n: usize| matches!(words.get(i + n).map(String::as_str), Some("SELECT" | "WITH"));
        let name = match word.as_str() {
            "(" => {
                // a branch of a set operation in parentheses is no deeper than its other branch
                let branch = matches!(previous(1), "" | "(" | "UNION" | "INTERSECT" | "EXCEPT")
                    || previous(1) == "ALL" && matches!(previous(2), "UNION" | "INTERSECT" | "EXCEPT");
                open.push(begins(1) && !branch);
                match previous(1) {
                    _ if !begins(1) || branch => String::new(),
                    "FROM" | "JOIN" | "IN" | "ANY" | "ALL" | "LATERAL" | "AS" | "MATERIALIZED" => {
                        format!("{}(", previous(1))
                    }
                    "EXISTS" => String::new(),
                    _ => "SCALAR(".into(),
                }
            }
            ")" => {
                open.pop();
                String::new()
            }
            "BY" | "DISTINCT" | "ON" => format!("{} {word}", previous(1)),
            "JOIN" if matches!(previous(1), "LEFT" | "RIGHT" | "FULL" | "CROSS") => String::new(),
            // WITHIN GROUP, FROM … IS DISTINCT FROM and the like are none
            other => other.to_string(),
        };
        if let Some(n) = CONSTRUCTS.iter().position(|(_, begins)| begins.contains(&name.as_str())) {
            found.insert((n, level));
        }
    }
    found
}

/// Words in upper case and parentheses; quoted text is left out.
fn words(sql: &str) -> Vec<String> {
    let mut out = vec![];
    let mut word = String::new();
    let mut quote = None;
    for c in sql.chars().chain([' ']) {
        match quote {
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None if c.is_ascii_uppercase() => word.push(c),
            None => {
                if !word.is_empty() {
                    out.push(std::mem::take(&mut word));
                }
                match c {
                    '\'' | '"' => quote = Some(c),
                    '(' | ')' => out.push(c.to_string()),
                    _ => {}
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(sql: &str) -> Vec<(&'static str, usize)> {
        of(sql).into_iter().map(|(n, level)| (CONSTRUCTS[n].0, level)).collect()
    }

    #[test]
    fn sub_queries_are_one_deeper() {
        let sql = "SELECT a FROM (SELECT b FROM t WHERE EXISTS (SELECT 1 FROM u LEFT JOIN v ON true)) AS x";
        let wanted = [("left or right join", 3), ("WHERE", 2), ("EXISTS", 2), ("sub-query in FROM", 1)];
        assert_eq!(levels(sql), wanted);
    }

    #[test]
    fn branches_and_calls_are_not() {
        let sql = "(SELECT count(DISTINCT a) FROM \"WHERE\" UNION SELECT 1 FROM t) EXCEPT (SELECT 2 FROM t GROUP BY b)";
        assert_eq!(levels(sql), [("GROUP BY", 1), ("UNION", 1), ("EXCEPT", 1)]);
    }

    #[test]
    fn scalar_sub_queries_in_lists() {
        let sql = "WITH x AS (SELECT DISTINCT a FROM t) SELECT b, (SELECT max(c) FROM u) FROM x";
        assert_eq!(levels(sql), [("scalar sub-query", 1), ("CTE", 1), ("DISTINCT", 2)]);
    }
}
