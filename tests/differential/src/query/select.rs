//! Projection and selection, DISTINCT, DISTINCT ON, LIMIT.
//! Invariant: which rows DISTINCT ON and LIMIT keep is decided by a total order, or all ties are kept. Called by `Gen::query`.

use super::{Expr, FromClause, Gen, Query, blur};
use crate::hazards::Hazard;

impl Gen<'_> {
    /// Output expressions; with keys of the rels, or without.
    fn outputs(&mut self, from: &FromClause, depth: u32) -> Vec<Expr> {
        let mut out = vec![];
        let keyed = self.dice.chance(50);
        for rel in &from.rels {
            if keyed || self.dice.chance(25) {
                out.extend(rel.key.iter().map(|&k| rel.columns[k].clone()));
            } else if from.rels.len() > 1 {
                self.note(Hazard::NoKeyInOutput);
            }
        }
        for _ in 0..self.dice.between(1, 4) {
            if depth > 0 && self.dice.chance(26) {
                let e = self.scalar_subquery(&from.rels);
                out.push(e);
            } else if !from.merged.is_empty() && self.dice.chance(40) {
                out.push(from.merged[0].clone());
            } else {
                let e = self.expression(&from.rels);
                out.push(e);
            }
        }
        out
    }

    pub fn select(&mut self, depth: u32) -> Query {
        let from = self.clause(depth);
        let outputs = self.outputs(&from, depth);
        let mut outputs = outputs;
        // what can fail is computed by the server beside a function that returns no row, too, and by a TVIEW only for rows that there are
        if self.dice.chance(13) && outputs.iter().all(|e| !e.sql.contains("SELECT")) {
            outputs.extend(self.rows_of(&from.rels));
        }
        let filter = self.filter(&from.rels, &from.conditions, depth.clamp(1, 2), 60);
        let columns = self.name_outputs(&outputs);
        let list = self.render_list(&outputs, &columns);
        let mut order = String::new();
        if self.dice.chance(6) {
            self.note(Hazard::OrderBy);
            let by = self.comparable(&from.rels);
            // a number would be a position in the list
            order = format!(" ORDER BY ({}){}", by.sql, if by.base.is_some() { " DESC" } else { " IS NULL" });
        }
        Query { sql: format!("SELECT {list} FROM {}{filter}{order}", from.sql), columns }
    }

    pub fn distinct(&mut self, depth: u32) -> Query {
        self.note(Hazard::Distinct);
        let from = self.clause(depth);
        let mut outputs = self.outputs(&from, 0);
        outputs.retain(|e| e.ty.has_equality());
        if outputs.is_empty() {
            outputs.push(self.comparable(&from.rels));
        }
        let filter = self.filter(&from.rels, &from.conditions, depth.min(2), 40);
        let mut columns = self.name_outputs(&outputs);
        blur(&mut columns);
        let list = self.render_list(&outputs, &columns);
        Query { sql: format!("SELECT DISTINCT {list} FROM {}{filter}", from.sql), columns }
    }

    /// A total order over all rows of the clause.
    pub fn total_order(&self, from: &FromClause) -> String {
        from.rels.iter().flat_map(|r| r.order.iter().cloned()).collect::<Vec<_>>().join(", ")
    }

    pub fn distinct_on(&mut self, depth: u32) -> Query {
        self.note(Hazard::DistinctOn);
        let from = self.clause(depth.min(2));
        let on = self.comparable(&from.rels);
        let on = if on.sql.starts_with('\'') || on.sql.parse::<i64>().is_ok() {
            format!("({})::text", on.sql)
        } else {
            on.sql
        };
        let mut outputs = self.outputs(&from, 0);
        outputs.truncate(5);
        let filter = self.filter(&from.rels, &from.conditions, 0, 30);
        let mut columns = self.name_outputs(&outputs);
        blur(&mut columns);
        let list = self.render_list(&outputs, &columns);
        let direction = self.dice.pick(&["", " DESC", " DESC NULLS LAST"]);
        let order = self.total_order(&from);
        Query {
            sql: format!(
                "SELECT DISTINCT ON ({on}) {list} FROM {}{filter} ORDER BY {on}{direction}, {order}",
                from.sql
            ),
            columns,
        }
    }

    pub fn top(&mut self, depth: u32) -> Query {
        self.note(Hazard::TopN);
        let from = self.clause(depth.min(2));
        let mut outputs = self.outputs(&from, 0);
        let shown = self.dice.chance(60);
        let first = Some(self.comparable(&from.rels)).filter(|e| e.base.is_some() && self.dice.chance(40));
        if shown {
            // the places of rows can be compared with the rows that are shown
            self.note(Hazard::TopNShown);
            let keys = from.rels.iter().flat_map(|r| r.key.iter().map(|&k| r.columns[k].clone()));
            outputs.extend(first.iter().cloned().chain(keys));
        }
        for rel in from.rels.iter() {
            if let Some((table, _)) = rel.columns.first().and_then(|c| c.base) {
                self.facts.limited.push(table);
            }
        }
        let filter = self.filter(&from.rels, &from.conditions, 0, 30);
        let mut columns = self.name_outputs(&outputs);
        blur(&mut columns);
        let list = self.render_list(&outputs, &columns);
        let all: Vec<String> =
            first.iter().map(|e| e.sql.clone()).chain(from.rels.iter().flat_map(|r| r.order.iter().cloned())).collect();
        let directions = ["", "", " DESC", " NULLS FIRST", " DESC NULLS LAST"];
        let order: Vec<String> = all.iter().map(|e| format!("{e}{}", self.dice.pick(&directions))).collect();
        let order = order.join(", ");
        let limit = *self.dice.pick(&[
            "LIMIT 3",
            "LIMIT 1",
            "LIMIT 5",
            "LIMIT 2 OFFSET 1",
            "LIMIT 3 OFFSET 4",
            "WITH TIES",
            "WITH TIES",
            "OFFSET 2",
            "OFFSET 5",
            "OFFSET 1",
        ]);
        if limit.starts_with("OFFSET") {
            self.note(Hazard::OffsetOnly);
        }
        if limit == "WITH TIES" {
            self.note(Hazard::WithTies);
            let by = self.comparable(&from.rels);
            // a position in the list, if it is a number
            let by = if by.base.is_some() { by.sql } else { format!("({}) IS NULL", by.sql) };
            let sql = format!("SELECT {list} FROM {}{filter} ORDER BY {by} FETCH FIRST 2 ROWS WITH TIES", from.sql);
            return Query { sql, columns };
        }
        Query { sql: format!("SELECT {list} FROM {}{filter} ORDER BY {order} {limit}", from.sql), columns }
    }
}
