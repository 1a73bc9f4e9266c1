//! Items of FROM that look at those before them: set-returning functions, JSON_TABLE, LATERAL sub-queries.
//! Invariant: a function is given only arguments that it takes, and returns few rows. Called by `add_joins`.

use super::{FromClause, rel_of};
use crate::hazards::Hazard;
use crate::query::{Expr, Gen, Rel};
use crate::types::Ty;

impl Gen<'_> {
    /// Adds a LATERAL sub-query or a set-returning function, if there is something to call it with.
    pub fn lateral(&mut self, from: &mut FromClause) -> bool {
        if self.dice.chance(12) && self.latest(from) {
            return true;
        }
        let rel = match self.dice.below(14) {
            11..=13 => Some(self.lateral_join(&from.rels)),
            10 => self.function_row(&from.rels),
            0..=3 => self.set_returning(&from.rels),
            4..=6 if self.features.version >= 17 => self.json_table(&from.rels),
            _ => None,
        };
        let rel = rel.unwrap_or_else(|| self.lateral_query(&from.rels));
        from.sql = if self.dice.chance(40) {
            format!("{} LEFT JOIN {} ON true", from.sql, rel.sql)
        } else {
            format!("{} CROSS JOIN {}", from.sql, rel.sql)
        };
        from.rels.push(rel.clone());
        if self.dice.chance(30) {
            self.joined_to_lateral(from, &rel);
        }
        true
    }

    /// The last row of a table for each row, by a LATERAL item that knows its number.
    fn latest(&mut self, from: &mut FromClause) -> bool {
        let inner = self.some_base();
        let integers: Vec<usize> = (0..inner.columns.len()).filter(|&i| inner.columns[i].ty == Ty::Int).collect();
        let table = inner.columns.first().and_then(|c| c.base);
        let (Some(&at), Some((table, _))) = (self.dice.maybe(&integers), table) else { return false };
        let condition = self.correlation(&from.rels, &inner);
        let (alias, other) = (self.alias(), self.base(table));
        let Some(own) = other.columns.get(at).filter(|c| c.ty == Ty::Int).map(|c| c.sql.clone()) else { return false };
        self.note(Hazard::Lateral);
        self.note(Hazard::LeftJoinByLateral);
        self.note(Hazard::LatestByLateral);
        let word = *self.dice.pick(&["max", "max", "min"]);
        let shown = format!("SELECT {word}({}) AS v FROM {} WHERE {condition}", inner.columns[at].sql, inner.sql);
        from.sql = format!(
            "{} LEFT JOIN LATERAL ({shown}) AS {alias} ON true LEFT JOIN {} ON {own} = {alias}.v",
            from.sql, other.sql
        );
        from.rels.push(rel_of(&alias, String::new(), &[("v", Ty::Int, false)]));
        from.rels.push(other);
        true
    }

    /// A left join by what a LATERAL item shows.
    fn joined_to_lateral(&mut self, from: &mut FromClause, rel: &Rel) {
        let other = self.some_base();
        if let Some((shown, own)) = self.match_up(std::slice::from_ref(rel), &other) {
            self.note(Hazard::LeftJoinByLateral);
            from.sql = format!("{} LEFT JOIN {} ON {} = {}", from.sql, other.sql, own.sql, shown.sql);
            from.rels.push(other);
        }
    }

    fn set_returning(&mut self, rels: &[Rel]) -> Option<Rel> {
        let alias = self.alias();
        let ints = self.column_of(rels, Ty::Ints);
        let texts = self.column_of(rels, Ty::Texts);
        let int = self.column_of(rels, Ty::Int);
        let json = self.column_of(rels, Ty::Jsonb);
        let (call, ty) = match (self.dice.below(5), ints, texts, int, json) {
            (0 | 1, Some(c), ..) => (format!("unnest({})", c.sql), Ty::Int),
            (0..=2, _, Some(c), ..) => (format!("unnest({})", c.sql), Ty::Text),
            (3, .., Some(c)) => {
                let object = format!("CASE WHEN jsonb_typeof({0}) = 'object' THEN {0} END", c.sql);
                (format!("jsonb_object_keys({object})"), Ty::Text)
            }
            (.., Some(c)) => {
                let array = format!("CASE WHEN jsonb_typeof({0}) = 'array' THEN {0} END", c.sql);
                (format!("jsonb_array_elements({array})"), Ty::Jsonb)
            }
            (_, _, _, Some(c), _) => (format!("generate_series(1, least({}, 3))", c.sql), Ty::Int),
            _ => return None,
        };
        self.note(Hazard::SetReturning);
        Some(match self.dice.below(4) {
            0 => {
                self.note(Hazard::Ordinality);
                let sql = format!("{call} WITH ORDINALITY AS {alias}(v, nr)");
                rel_of(&alias, sql, &[("v", ty, false), ("nr", Ty::Big, false)])
            }
            1 => {
                self.note(Hazard::RowsFrom);
                let sql = format!("ROWS FROM ({call}, generate_series(1, 2)) WITH ORDINALITY AS {alias}(v, w, nr)");
                rel_of(&alias, sql, &[("v", ty, false), ("w", Ty::Int, false), ("nr", Ty::Big, false)])
            }
            _ => rel_of(&alias, format!("LATERAL {call} AS {alias}(v)"), &[("v", ty, false)]),
        })
    }

    /// A function that returns one row.
    fn function_row(&mut self, rels: &[Rel]) -> Option<Rel> {
        let alias = self.alias();
        let (call, ty) = match (self.dice.below(2), self.column_of(rels, Ty::Int), self.column_of(rels, Ty::Text)) {
            (0, _, Some(c)) => (format!("upper({})", c.sql), Ty::Text),
            (_, Some(c), _) => (format!("{}({})", self.dice.pick(&["abs", "shade"]), c.sql), Ty::Int),
            _ => return None,
        };
        self.note(Hazard::FunctionRow);
        Some(rel_of(&alias, format!("{call} AS {alias}(v)"), &[("v", ty, false)]))
    }

    fn json_table(&mut self, rels: &[Rel]) -> Option<Rel> {
        let of_array = |c: Expr| Expr { sql: format!("to_jsonb({})", c.sql), ..c };
        let column = self.column_of(rels, Ty::Jsonb).or_else(|| self.column_of(rels, Ty::Ints).map(of_array))?;
        self.note(Hazard::JsonTable);
        let alias = self.alias();
        let sql = format!(
            "JSON_TABLE({}, '$[*]' COLUMNS (nr FOR ORDINALITY, v int PATH '$', w jsonb PATH '$.a')) AS {alias}",
            column.sql
        );
        Some(rel_of(&alias, sql, &[("nr", Ty::Int, false), ("v", Ty::Int, false), ("w", Ty::Jsonb, false)]))
    }

    /// An outer join for each row, which looks at the row in its condition, or in that of a join below it.
    fn lateral_join(&mut self, rels: &[Rel]) -> Rel {
        self.note(Hazard::Lateral);
        self.note(Hazard::LateralOuterJoin);
        let alias = self.alias();
        let left = self.some_base();
        let right = self.some_base();
        let around = self.correlation(rels, &right);
        let meet = self.correlation(std::slice::from_ref(&left), &right);
        let nested = self.dice.chance(45);
        let kind = *self.dice.pick(if nested { &["LEFT JOIN"][..] } else { &["LEFT JOIN", "RIGHT JOIN"] });
        let join = if nested {
            self.note(Hazard::LateralNestedJoin);
            self.note(Hazard::NestedJoin);
            let below = self.some_base();
            let on = self.correlation(rels, &below);
            let word = *self.dice.pick(&["JOIN", "LEFT JOIN"]);
            format!("{} {kind} ({} {word} {} ON {on}) ON {meet}", left.sql, right.sql, below.sql)
        } else {
            format!("{} {kind} {} ON {meet} AND {around}", left.sql, right.sql)
        };
        let (v, w) = (self.any_column(&[left]), self.any_column(&[right]));
        let sql = format!("LATERAL (SELECT {} AS v, {} AS w FROM {join}) AS {alias}", v.sql, w.sql);
        rel_of(&alias, sql, &[("v", v.ty, v.fuzzy), ("w", w.ty, w.fuzzy)])
    }

    /// An aggregate, or the first rows, of another table for each row.
    fn lateral_query(&mut self, rels: &[Rel]) -> Rel {
        self.note(Hazard::Lateral);
        let alias = self.alias();
        let inner = self.some_base();
        let condition = self.correlation(rels, &inner);
        let picked = self.any_column(std::slice::from_ref(&inner));
        let order = inner.order.join(", ");
        let ambiguous = picked.fuzzy || picked.ty.is_ambiguous();
        match self.dice.below(9) {
            5 | 6 => {
                let (rows, fuzzy) = self.rows_of_both(rels);
                rel_of(&alias, format!("LATERAL ({rows}) AS {alias}"), &[("v", Ty::Text, fuzzy)])
            }
            7 | 8 => {
                let sql = format!("LATERAL ({}) AS {alias}", self.value_beside(rels));
                rel_of(&alias, sql, &[("v", Ty::Big, false), ("w", Ty::Text, false)])
            }
            4 if picked.ty.has_equality() => {
                self.note(Hazard::TopNPerKey);
                self.note(Hazard::TiesPerKey);
                let by = if picked.base.is_some() { picked.sql.clone() } else { format!("({}) IS NULL", picked.sql) };
                let sql = format!(
                    "LATERAL (SELECT {} AS v FROM {} WHERE {condition} ORDER BY {by} FETCH FIRST {} ROWS WITH TIES) AS {alias}",
                    picked.sql,
                    inner.sql,
                    self.dice.between(1, 2)
                );
                rel_of(&alias, sql, &[("v", picked.ty, picked.fuzzy)])
            }
            0 => {
                let text = picked.text();
                let sql = format!(
                    "LATERAL (SELECT count(*) AS v, max({text}) AS w FROM {} WHERE {condition}) AS {alias}",
                    inner.sql
                );
                rel_of(&alias, sql, &[("v", Ty::Big, false), ("w", Ty::Text, false)])
            }
            1 if picked.ty.has_equality() => {
                self.note(Hazard::GroupedSubquery);
                let sql = format!(
                    "LATERAL (SELECT {0} AS v, count(*) AS w FROM {1} WHERE {condition} GROUP BY {0}) AS {alias}",
                    picked.sql, inner.sql
                );
                rel_of(&alias, sql, &[("v", picked.ty, ambiguous), ("w", Ty::Big, false)])
            }
            _ => {
                self.note(Hazard::TopNPerKey);
                let limit = self.dice.between(1, 2);
                let sql = format!(
                    "LATERAL (SELECT {} AS v FROM {} WHERE {condition} ORDER BY {order} LIMIT {limit}) AS {alias}",
                    picked.sql, inner.sql
                );
                rel_of(&alias, sql, &[("v", picked.ty, picked.fuzzy)])
            }
        }
    }
}
