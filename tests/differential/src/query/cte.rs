//! CTEs, used once or many times, by each other, in sub-links, and WITH RECURSIVE.
//! Invariant: recursion ends, by UNION over few values or by a bound. Called by `Gen::query`.

use super::{Col, Gen, Query, Source};
use crate::hazards::Hazard;
use crate::types::Ty;

const HOW: &[&str] = &["", "", " MATERIALIZED", " NOT MATERIALIZED"];

impl Gen<'_> {
    pub fn cte(&mut self, depth: u32) -> Query {
        if self.dice.chance(50) { self.joined_with_itself(depth) } else { self.with_clause(depth) }
    }

    fn how(&mut self) -> &'static str {
        let how: &&str = self.dice.pick(HOW);
        how
    }

    /// One or two CTEs, and a query that may use them anywhere.
    fn with_clause(&mut self, depth: u32) -> Query {
        let before = self.ctes.len();
        let mut list = vec![];
        for _ in 0..self.dice.between(1, 2) {
            let inner = self.query(depth.saturating_sub(1));
            let (name, how) = (self.alias(), self.how());
            list.push(format!("{name} AS{how} ({})", inner.sql));
            self.ctes.push(Source { name, columns: inner.columns, hazard: None });
        }
        let uses = self.cte_uses;
        let main = match self.dice.below(3) {
            0 => self.select(depth.saturating_sub(1)),
            1 => self.grouped(depth.saturating_sub(1)),
            _ => self.query(depth.saturating_sub(1)),
        };
        match self.cte_uses - uses {
            0 => self.note(Hazard::CteUnused),
            1 => self.note(Hazard::CteOnce),
            _ => self.note(Hazard::CteTwice),
        }
        self.ctes.truncate(before);
        Query { sql: format!("WITH {} {}", list.join(", "), main.sql), columns: main.columns }
    }

    fn joined_with_itself(&mut self, depth: u32) -> Query {
        let inner = self.query(depth.saturating_sub(1));
        let (name, how) = (self.alias(), self.how());
        let with = format!("WITH {name} AS{how} ({}) ", inner.sql);
        let left = self.named(&name, &inner.columns);
        let comparable: Vec<usize> = (0..inner.columns.len()).filter(|&i| inner.columns[i].ty.has_equality()).collect();
        if comparable.is_empty() || self.dice.chance(35) {
            self.note(Hazard::CteOnce);
            let rels = [left.clone()];
            let filter = self.filter(&rels, &[], 0, 50);
            let sql = format!("{with}SELECT * FROM {}{filter}", left.sql);
            return Query { sql, columns: inner.columns };
        }
        self.note(Hazard::CteTwice);
        let right = self.named(&name, &inner.columns);
        let on = *self.dice.pick(&comparable);
        let mut outputs = vec![left.columns[on].clone()];
        for _ in 0..self.dice.between(1, 2) {
            let from_left = self.dice.chance(50);
            let side = if from_left { &left } else { &right };
            outputs.push(self.dice.pick(&side.columns).clone());
        }
        let kind = *self.dice.pick(&["JOIN", "LEFT JOIN"]);
        let columns = self.name_outputs(&outputs);
        let list = self.render_list(&outputs, &columns);
        let sql = format!(
            "{with}SELECT {list} FROM {} {kind} {} ON {} = {}",
            left.sql, right.sql, left.columns[on].sql, right.columns[on].sql
        );
        Query { sql, columns }
    }

    /// Walks from values of one integer column to values of another: a graph with cycles, so UNION or a bound ends it.
    pub fn recursive(&mut self) -> Query {
        let table = self.dice.below(self.schema.tables.len());
        let (a, b) = (self.base(table), self.base(table));
        let ints: Vec<usize> = (0..a.columns.len()).filter(|&i| a.columns[i].ty == Ty::Int).collect();
        self.note(Hazard::Recursive);
        let from = *self.dice.pick(&ints);
        let to = *self.dice.pick(&ints);
        let name = self.alias();
        let (word, bound) = if self.dice.chance(35) { ("UNION", "") } else { ("UNION ALL", " AND w.n < 2") };
        let step = if word == "UNION" { "0" } else { "w.n + 1" };
        let list = *self.dice.pick(&[
            "SELECT v, n FROM {}",
            "SELECT v, n FROM {}",
            "SELECT v, count(*)::int AS n FROM {} GROUP BY v",
            "SELECT DISTINCT n, v FROM {} WHERE v IS NOT NULL",
        ]);
        let mut list = list.replace("{}", &name);
        // Clauses of the standard: an order that nobody sees, and circles that are marked.
        let (mut clauses, mut bound) = (String::new(), bound);
        let by = *self.dice.pick(&["v", "n, v", "v, n"]);
        let bounded = word == "UNION ALL";
        if bounded && self.dice.chance(70) {
            self.note(Hazard::SearchClause);
            clauses += &format!(" SEARCH {} FIRST BY {by} SET o", self.dice.pick(&["DEPTH", "BREADTH"]));
            if !list.contains("GROUP BY") && !list.contains("DISTINCT") && self.dice.chance(60) {
                list += " ORDER BY o";
            }
        }
        if bounded && self.dice.chance(70) {
            self.note(Hazard::CycleClause);
            let marks = *self.dice.pick(&["", "", " TO 1 DEFAULT 0"]);
            clauses += &format!(" CYCLE {by} SET c{marks} USING p");
            bound = " AND w.n < 3";
            let shown = list.starts_with("SELECT v, n") && self.dice.chance(60);
            if shown {
                list =
                    list.replacen("n FROM", "CASE WHEN c::text IN ('1', 'true') THEN n + 10 ELSE n END AS n FROM", 1);
            }
        }
        // Also through rows of another table.
        let through = if self.dice.chance(25) {
            let other = self.dice.below(self.schema.tables.len());
            let other = self.base(other);
            let column = (0..other.columns.len()).find(|&i| other.columns[i].ty == Ty::Int).unwrap_or(0);
            let column = &other.columns[column].sql;
            format!(" AND EXISTS (SELECT FROM {} WHERE {column} = w.v)", other.sql)
        } else {
            String::new()
        };
        let sql = format!(
            "WITH RECURSIVE {name}(v, n) AS (SELECT {}, 0 FROM {} WHERE {} = {} {word} SELECT {}, {step} FROM {name} w JOIN {} ON {} = w.v WHERE true{bound}{through}){clauses} {list}",
            a.columns[to].sql,
            a.sql,
            a.columns[from].sql,
            self.dice.below(3),
            b.columns[to].sql,
            b.sql,
            b.columns[from].sql
        );
        let column = |name: &str| Col { name: name.into(), ty: Ty::Int, fuzzy: false, origin: None };
        let columns = if list.starts_with("SELECT DISTINCT n") { ["n", "v"] } else { ["v", "n"] };
        Query { sql, columns: columns.map(column).to_vec() }
    }
}
