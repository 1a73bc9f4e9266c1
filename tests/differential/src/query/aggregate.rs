//! GROUP BY, HAVING, aggregates without GROUP BY, GROUPING SETS. Aggregates that depend on order have a total ORDER BY. Called by `Gen::query`.

use super::{from::From, Expr, Gen, Query};
use crate::hazards::Hazard;
use crate::types::Ty;

impl Gen<'_> {
    fn aggregate(&mut self, from: &From) -> Expr {
        let column = self.any_column(&from.rels);
        if let Some(base) = column.base {
            self.facts.aggregated.push(base);
        }
        let order = self.total_order(from);
        let c = &column.sql;
        let kind = self.dice.below(17);
        let (call, ty, fuzzy) = match kind {
            0 | 1 => ("count(*)".to_string(), Ty::Big, false),
            2 => (format!("count({c})"), Ty::Big, false),
            3..=5 if column.ty.is_number() => {
                if column.ty == Ty::Float {
                    self.note(Hazard::FloatAggregate);
                }
                if column.ty == Ty::Num {
                    self.note(Hazard::NumericScale);
                }
                let ty = match column.ty {
                    Ty::Int => Ty::Big,
                    Ty::Float => Ty::Float,
                    _ => Ty::Num,
                };
                (format!("sum({c})"), ty, column.fuzzy || column.ty == Ty::Float)
            }
            6 if column.ty.is_number() => {
                let ty = if column.ty == Ty::Float { Ty::Float } else { Ty::Num };
                (format!("avg({c})"), ty, column.fuzzy || column.ty == Ty::Float)
            }
            7 | 8 if column.ty.has_extrema() => {
                self.note(Hazard::Extremum);
                self.facts.extrema.extend(column.base);
                let word = self.dice.pick(&["min", "max"]);
                (format!("{word}({c})"), column.ty, column.fuzzy || column.ty.is_ambiguous())
            }
            9 if column.ty == Ty::Bool => {
                let word = self.dice.pick(&["bool_or", "bool_and", "every"]);
                (format!("{word}({c})"), Ty::Bool, false)
            }
            10 if !column.fuzzy => {
                self.note(Hazard::OrderedAggregate);
                (format!("string_agg({c}::text, ',' ORDER BY {c}::text)"), Ty::Text, false)
            }
            11 if !column.fuzzy && !matches!(column.ty, Ty::Ints | Ty::Texts) => {
                self.note(Hazard::OrderedAggregate);
                (format!("array_agg({c}::text ORDER BY {c}::text DESC)"), Ty::Texts, false)
            }
            12 if !column.fuzzy => {
                self.note(Hazard::OrderedAggregate);
                self.note(Hazard::Document);
                (format!("jsonb_agg({c} ORDER BY {order})"), Ty::Jsonb, false)
            }
            13 if column.ty.has_equality() => {
                self.note(Hazard::DistinctAggregate);
                (format!("count(DISTINCT {c})"), Ty::Big, false)
            }
            14 if column.ty == Ty::Int => {
                self.note(Hazard::DistinctAggregate);
                (format!("sum(DISTINCT {c})"), Ty::Big, false)
            }
            15 => {
                self.note(Hazard::FilteredAggregate);
                let condition = self.condition(&from.rels, 0);
                (format!("sum(CASE WHEN {condition} THEN 1 ELSE 0 END)"), Ty::Big, false)
            }
            16 if matches!(column.ty, Ty::Int | Ty::Big) => {
                let word = self.dice.pick(&["stddev", "var_pop", "bit_or"]);
                (format!("{word}({c})"), if *word == "bit_or" { column.ty } else { Ty::Num }, false)
            }
            _ => ("count(*)".to_string(), Ty::Big, false),
        };
        let filter = if self.dice.chance(12) && !call.contains("CASE") {
            self.note(Hazard::FilteredAggregate);
            format!(" FILTER (WHERE {})", self.condition(&from.rels, 0))
        } else {
            String::new()
        };
        let sql = if fuzzy && ty == Ty::Num && self.dice.chance(30) {
            format!("coalesce({call}{filter}, 0)")
        } else {
            format!("{call}{filter}")
        };
        Expr { sql, ty, fuzzy, base: None }
    }

    fn group_key(&mut self, from: &From) -> Expr {
        if from.rels.len() >= 2 && self.dice.chance(20) {
            let l = self.comparable(&from.rels[..1]);
            if let Some(r) = self.column_of(&from.rels[1..], l.ty) {
                self.note(Hazard::CoalesceKey);
                return Expr {
                    sql: format!("coalesce({}, {})", l.sql, r.sql),
                    ty: l.ty,
                    fuzzy: l.ty.is_ambiguous(),
                    base: None,
                };
            }
        }
        let all: Vec<Expr> = self.columns_of(&from.rels).into_iter().filter(|e| e.ty.has_equality()).collect();
        let Some(e) = self.dice.maybe(&all).cloned() else {
            return Expr { sql: "(1 + 1)".into(), ty: Ty::Int, fuzzy: false, base: None };
        };
        if let Some(base) = e.base {
            self.facts.groups.push(base);
        }
        if self.dice.chance(20) {
            self.note(Hazard::ExpressionKey);
            return match e.ty {
                Ty::Int | Ty::Big => Expr { sql: format!("({} % 2)", e.sql), base: None, ..e },
                Ty::Text => Expr { sql: format!("upper({})", e.sql), base: None, ..e },
                _ => Expr { sql: format!("({} IS NULL)", e.sql), ty: Ty::Bool, fuzzy: false, base: None },
            };
        }
        let fuzzy = e.fuzzy || e.ty.is_ambiguous();
        Expr { fuzzy, ..e }
    }

    fn aggregates(&mut self, from: &From) -> Vec<Expr> {
        if from.sql.contains("GROUP BY") {
            self.note(Hazard::AggregateOfAggregate);
        }
        self.in_aggregate = true;
        let list = (0..self.dice.between(1, 3)).map(|_| self.aggregate(from)).collect();
        self.in_aggregate = false;
        list
    }

    fn having(&mut self, from: &From) -> String {
        if !self.dice.chance(22) {
            return String::new();
        }
        self.note(Hazard::Having);
        let column = self.any_column(&from.rels);
        match self.dice.below(3) {
            0 if column.ty == Ty::Int => {
                format!(" HAVING sum({}) > {}", column.sql, self.dice.below(4))
            }
            1 => format!(" HAVING count({}) >= 1", column.sql),
            _ => format!(" HAVING count(*) {} {}", self.dice.pick(&[">", "<=", "="]), self.dice.between(1, 2)),
        }
    }

    pub fn grouped(&mut self, depth: u32) -> Query {
        self.note(Hazard::Grouped);
        let from = self.from(depth);
        let mut keys: Vec<Expr> = vec![];
        for _ in 0..self.dice.weighted(&[(65, 1), (35, 2)]) {
            let key = self.group_key(&from);
            if keys.iter().all(|k| k.sql != key.sql) {
                keys.push(key);
            }
        }
        let group = keys.iter().map(|k| k.sql.clone()).collect::<Vec<_>>().join(", ");
        let mut outputs = keys;
        if self.dice.chance(15) {
            outputs.truncate(1);
            if self.dice.chance(40) {
                outputs.clear();
            }
        }
        outputs.extend(self.aggregates(&from));
        let filter = self.filter(&from.rels, &from.conditions, depth.min(1), 35);
        let having = self.having(&from);
        let columns = self.name_outputs(&outputs);
        let list = self.render_list(&outputs, &columns);
        Query { sql: format!("SELECT {list} FROM {}{filter} GROUP BY {group}{having}", from.sql), columns }
    }

    pub fn ungrouped(&mut self, depth: u32) -> Query {
        self.note(Hazard::NoGroupBy);
        let from = self.from(depth);
        let outputs = self.aggregates(&from);
        if let Some((table, _)) = from.rels[0].columns.first().and_then(|c| c.base) {
            self.facts.ungrouped.push(table);
        }
        let filter = self.filter(&from.rels, &from.conditions, depth.min(1), 35);
        let having = if self.dice.chance(15) { self.having(&from) } else { String::new() };
        let columns = self.name_outputs(&outputs);
        let list = self.render_list(&outputs, &columns);
        Query { sql: format!("SELECT {list} FROM {}{filter}{having}", from.sql), columns }
    }

    pub fn grouping_sets(&mut self, depth: u32) -> Query {
        self.note(Hazard::GroupingSets);
        let from = self.from(depth.min(1));
        let (a, b) = (self.group_key(&from), self.group_key(&from));
        if a.sql == b.sql {
            return self.grouped(depth);
        }
        let sets = match self.dice.below(4) {
            0 => format!("ROLLUP ({}, {})", a.sql, b.sql),
            1 => format!("CUBE ({}, {})", a.sql, b.sql),
            2 => format!("GROUPING SETS (({}), ({}))", a.sql, b.sql),
            _ => format!("GROUPING SETS (({}, {}), ({}), ())", a.sql, b.sql, b.sql),
        };
        let mut outputs = vec![a.clone(), b.clone()];
        if self.dice.chance(50) {
            outputs.push(Expr {
                sql: format!("grouping({}, {})", a.sql, b.sql),
                ty: Ty::Int,
                fuzzy: false,
                base: None,
            });
        }
        outputs.extend(self.aggregates(&from));
        let filter = self.filter(&from.rels, &from.conditions, 0, 30);
        let columns = self.name_outputs(&outputs);
        let list = self.render_list(&outputs, &columns);
        Query { sql: format!("SELECT {list} FROM {}{filter} GROUP BY {sets}", from.sql), columns }
    }
}
