//! Expressions over the columns of a FROM clause.
//! Invariant: total, no expression fails on any input. Called by the other families.

use super::{Expr, Gen, Rel};
use crate::hazards::Hazard;
use crate::schema::Kind;
use crate::types::Ty;

impl Gen<'_> {
    pub fn columns_of(&self, rels: &[Rel]) -> Vec<Expr> {
        rels.iter().flat_map(|r| r.columns.iter().cloned()).collect()
    }

    fn literal(&mut self, ty: Ty) -> Expr {
        Expr::plain(ty.literal(self.dice), ty)
    }

    pub fn any_column(&mut self, rels: &[Rel]) -> Expr {
        let all = self.columns_of(rels);
        match self.dice.maybe(&all) {
            Some(e) => e.clone(),
            None => self.literal(Ty::Int),
        }
    }

    pub fn column_of(&mut self, rels: &[Rel], ty: Ty) -> Option<Expr> {
        let all: Vec<Expr> = self.columns_of(rels).into_iter().filter(|e| e.ty == ty).collect();
        self.dice.maybe(&all).cloned()
    }

    /// A column that can be compared, preferably a column that other tables have too.
    pub fn comparable(&mut self, rels: &[Rel]) -> Expr {
        let all: Vec<Expr> = self.columns_of(rels).into_iter().filter(|e| e.ty.has_equality()).collect();
        match self.dice.maybe(&all) {
            Some(e) => e.clone(),
            None => self.literal(Ty::Int),
        }
    }

    /// Any expression over the rels.
    pub fn expression(&mut self, rels: &[Rel]) -> Expr {
        let e = self.any_column(rels);
        if self.dice.chance(70) {
            return e;
        }
        if self.dice.chance(18)
            && let Some(special) = self.special(rels)
        {
            return special;
        }
        let (sql, ty) = match self.dice.below(15) {
            0 => (format!("coalesce({}, {})", e.sql, e.ty.literal(self.dice)), e.ty),
            1 => {
                let condition = self.condition(rels, 0);
                (format!("CASE WHEN {condition} THEN {} END", e.sql), e.ty)
            }
            2 if !e.fuzzy => (e.text(), Ty::Text),
            3 if !e.fuzzy => (format!("to_jsonb({})", e.sql), Ty::Jsonb),
            4 if !e.fuzzy => {
                let f = self.any_column(rels);
                if f.fuzzy {
                    (format!("jsonb_build_array({})", e.sql), Ty::Jsonb)
                } else {
                    self.note(Hazard::Document);
                    (format!("jsonb_build_object('x', {}, 'y', {})", e.sql, f.sql), Ty::Jsonb)
                }
            }
            5 => (format!("({} IS NULL)", e.sql), Ty::Bool),
            6 if matches!(e.ty, Ty::Int | Ty::Big) => (format!("({} % 2)", e.sql), e.ty),
            7 if e.ty.is_number() && e.ty != Ty::Small && e.ty != Ty::PosInt => (format!("({} + 1)", e.sql), e.ty),
            8 if e.ty.has_equality() => {
                let literal = e.ty.literal(self.dice);
                (format!("({} = {literal})", e.sql), Ty::Bool)
            }
            9 if e.ty == Ty::Text => (format!("upper({})", e.sql), Ty::Text),
            10 if e.ty.has_equality() => {
                let literal = e.ty.literal(self.dice);
                (format!("nullif({}, {literal})", e.sql), e.ty)
            }
            11 if e.ty == Ty::Int => (format!("ARRAY[{}, 7]", e.sql), Ty::Ints),
            12..=14 if e.ty == Ty::Int => {
                self.note(Hazard::OwnFunction);
                let word = self.dice.pick(&["shade", "tint"]);
                (format!("{word}({})", e.sql), Ty::Int)
            }
            _ => (e.sql.clone(), e.ty),
        };
        // char(n), varchar(n) and domains lose their modifier in expressions; comparing by text copes with that
        let keeps = sql == e.sql;
        Expr { sql, ty, fuzzy: e.fuzzy && ty == e.ty, base: if keeps { e.base } else { None } }
    }

    /// An expression about a row as a whole: a row of two columns, the whole row, the table it is in.
    fn special(&mut self, rels: &[Rel]) -> Option<Expr> {
        let plain = |sql: String, ty: Ty| Some(Expr::plain(sql, ty));
        let base: Vec<&Rel> = rels.iter().filter(|r| r.columns.iter().all(|c| c.base.is_some())).collect();
        // trees have more to show
        let trees: Vec<&Rel> = base.iter().copied().filter(|r| self.is_tree(r)).collect();
        let tree = !trees.is_empty() && self.dice.chance(50);
        let rel = (*self.dice.maybe(if tree { &trees } else { &base })?).clone();
        let (table, _) = rel.columns.first()?.base?;
        let alias = rel.columns.first()?.sql.split('.').next()?.to_string();
        match (if tree { 0 } else { self.dice.below(3) }, &self.schema.tables[table].kind) {
            (0, Kind::Parted { leaves, .. }) => {
                self.note(Hazard::TableOid);
                plain(format!("({alias}.tableoid = '{}'::regclass)", leaves[0]), Ty::Bool)
            }
            (0, Kind::Parent { child }) => {
                self.note(Hazard::TableOid);
                plain(format!("({alias}.tableoid = '{child}'::regclass)"), Ty::Bool)
            }
            (1, _) => {
                let (i, t) = (self.column_of(rels, Ty::Int)?, self.column_of(rels, Ty::Text)?);
                self.note(Hazard::RowExpression);
                plain(format!("ROW({}, {})::pair", i.sql, t.sql), Ty::Pair)
            }
            (2, _) => {
                self.note(Hazard::WholeRow);
                self.facts.whole.insert(table);
                let wrap = self.dice.pick(&["to_jsonb", "row_to_json"]);
                plain(format!("{wrap}({alias})"), if *wrap == "to_jsonb" { Ty::Jsonb } else { Ty::Json })
            }
            _ => None,
        }
    }

    fn is_tree(&self, rel: &Rel) -> bool {
        let table = rel.columns.first().and_then(|c| c.base);
        table.is_some_and(|(t, _)| self.schema.tables[t].kind != Kind::Plain)
    }

    /// A set-returning function of some column, for the select list.
    pub fn rows_of(&mut self, rels: &[Rel]) -> Option<Expr> {
        let types = [Ty::Ints, Ty::Texts, Ty::Jsonb, Ty::Int];
        let found = types.into_iter().find_map(|ty| self.column_of(rels, ty).filter(|_| self.dice.chance(70)))?;
        let c = &found.sql;
        let (sql, ty) = match found.ty {
            Ty::Ints => (format!("unnest({c})"), Ty::Int),
            Ty::Texts => (format!("unnest({c})"), Ty::Text),
            Ty::Jsonb => (format!("jsonb_path_query({c}, '$[*]')"), Ty::Jsonb),
            _ => (format!("generate_series(1, least({c}, 3))"), Ty::Int),
        };
        self.note(Hazard::SetReturningInList);
        Some(Expr::plain(sql, ty))
    }
}
