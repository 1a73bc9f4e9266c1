//! What generators know of a schema: tables with their columns, keys and kinds.
//! Invariant: the model follows committed definitions: a plan that changes a table changes it here, too. Used by `query` and `plan`.

use crate::features::Features;
use crate::query::Expr;
use crate::types::Ty;

#[derive(Clone, Debug)]
pub struct Column {
    /// already quoted
    pub name: String,
    pub ty: Ty,
    pub nullable: bool,
    /// the server computes it: generated or identity
    pub generated: bool,
    /// index of the table it references
    pub fk: Option<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Plain,
    /// partitioned by this column; names and bounds of the leaves, names of leaves below the first
    Parted {
        column: usize,
        leaves: Vec<String>,
        bounds: Vec<String>,
        below: Vec<String>,
    },
    /// has this inheritance child
    Parent {
        child: String,
    },
}

#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    pub columns: Vec<Column>,
    pub key: Vec<usize>,
    pub unique: Vec<usize>,
    pub kind: Kind,
    /// of the column that no query uses
    pub note: String,
    /// its key holds at commit only
    pub deferrable: bool,
    pub unlogged: bool,
    /// tables whose foreign keys point here
    pub referenced: bool,
    pub cascades: bool,
}

impl Table {
    /// Columns that can be written.
    pub fn writable(&self) -> Vec<usize> {
        (0..self.columns.len()).filter(|&i| !self.columns[i].generated).collect()
    }

    /// Their names, as in a select list.
    pub fn list(&self, which: &[usize]) -> String {
        which.iter().map(|&i| self.columns[i].name.clone()).collect::<Vec<_>>().join(", ")
    }

    /// The same list, with other SQL in place of one column.
    pub fn list_with(&self, which: &[usize], column: usize, sql: &str) -> String {
        let shown = |&i: &usize| if i == column { sql } else { &self.columns[i].name };
        which.iter().map(shown).collect::<Vec<_>>().join(", ")
    }

    /// The key, when no two rows have the same, at any time.
    pub fn sure_key(&self) -> Vec<usize> {
        if self.kind == Kind::Plain && !self.deferrable { self.key.clone() } else { vec![] }
    }

    /// Expressions that order its rows totally, except rows that are the same in every column.
    pub fn total_order(&self, alias: &str) -> Vec<String> {
        let key = self.sure_key();
        let which: Vec<usize> = if key.is_empty() { (0..self.columns.len()).collect() } else { key };
        which
            .iter()
            .map(|&i| {
                let c = &self.columns[i];
                let sql = format!("{alias}.{}", c.name);
                Expr::plain(sql, c.ty).order()
            })
            .collect()
    }

    /// What ends an INSERT that may meet an existing key.
    pub fn or_nothing(&self) -> &'static str {
        if self.deferrable { "" } else { " ON CONFLICT DO NOTHING" }
    }
}

#[derive(Clone, Debug)]
pub struct Schema {
    pub tables: Vec<Table>,
    pub features: Features,
    /// the first table gets thousands of rows
    pub large: bool,
    /// a trigger of the user's writes to some table whenever another is written
    pub has_trigger: bool,
    /// the user's functions belong to an extension, of this version
    pub extension: Option<usize>,
}

impl Schema {
    /// The table that an INSERT, UPDATE, DELETE or COPY names, as long as it has its first name.
    pub fn written(&self, sql: &str) -> Option<&Table> {
        let rest =
            ["INSERT INTO ", "UPDATE ", "DELETE FROM ", "COPY "].iter().find_map(|word| sql.strip_prefix(word))?;
        self.tables.iter().find(|t| rest.strip_prefix(&t.name).is_some_and(|r| r.starts_with(' ')))
    }
}
