//! Writes that are not row by row: TRUNCATE, COPY.
//! Invariant: COPY has the columns that a value without SQL can be given for. Called by `statement`.

use super::{Planner, step};
use crate::case::{Act, Step};
use crate::hazards::Hazard;
use crate::schema::Kind;

impl Planner<'_> {
    pub(super) fn truncate(&mut self, table: usize) -> Vec<Step> {
        let referenced: Vec<usize> =
            (0..self.schema.tables.len()).filter(|&i| self.schema.tables[i].referenced).collect();
        let table = self.dice.maybe(&referenced).copied().filter(|_| self.dice.chance(30)).unwrap_or(table);
        let t = self.schema.tables[table].clone();
        if t.referenced {
            return self.one(format!("TRUNCATE {} CASCADE", t.name), &[Hazard::TruncateCascade]);
        }
        let mut sql = vec![format!("TRUNCATE {}", t.name)];
        for _ in 0..self.dice.between(1, 3) {
            sql.push(self.insert(table));
        }
        self.several(sql, &[Hazard::TruncateInsert])
    }

    pub(super) fn copy(&mut self, table: usize) -> Vec<Step> {
        let t = self.schema.tables[table].clone();
        let which: Vec<usize> = t.writable().into_iter().filter(|&i| t.columns[i].fk.is_none()).collect();
        // 19: values that cannot be read are NULL
        let is_number = |i: &usize| t.columns[*i].nullable && t.columns[*i].ty.is_number() && !t.key.contains(i);
        let numbers: Vec<usize> = which.iter().copied().filter(is_number).collect();
        let is_new = self.schema.features.version >= 19 && self.dice.chance(60);
        let bad = self.dice.maybe(&numbers).copied().filter(|_| is_new);
        let mut data = String::new();
        for _ in 0..self.dice.between(1, 4) {
            let mut line = vec![];
            for &i in &which {
                let c = &t.columns[i];
                if Some(i) == bad && self.dice.chance(60) {
                    line.push("none".to_string());
                    continue;
                }
                if c.nullable && self.dice.chance(20) {
                    line.push("\\N".to_string());
                    continue;
                }
                let part = matches!(&t.kind, Kind::Parted { column, .. } if *column == i);
                let raw = if t.key.contains(&i) && !part { c.ty.raw_key(self.dice) } else { c.ty.raw(self.dice) };
                line.push(raw.replace('\\', "\\\\"));
            }
            data += &line.join("\t");
            data += "\n";
        }
        let group = self.next_group();
        vec![step(
            Act::Copy {
                sql: format!(
                    "COPY {} ({}) FROM STDIN{}",
                    t.name,
                    t.list(&which),
                    if bad.is_some() { " WITH (ON_ERROR set_null)" } else { "" }
                ),
                data,
            },
            if bad.is_some() { &[Hazard::Copy, Hazard::CopySetNull] } else { &[Hazard::Copy] },
            group,
        )]
    }
}
