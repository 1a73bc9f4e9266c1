//! A relation as the files describe it: columns, keys, and what its indexes find.
//!
//! Invariant: a key is unique at once, and has no NULLs or takes them for equal. Called by `schema`.

use pg_query::protobuf::{ConstrType, Constraint, SelectStmt};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Table,
    View,
    Matview,
    Tview,
    Foreign,
    Temporary,
    Sequence,
}

#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    pub of: Option<String>,
    pub not_null: bool,
    pub is_virtual: bool,
}

#[derive(Debug, Clone)]
pub struct Relation {
    pub kind: Kind,
    pub columns: Vec<Column>,
    /// Whether all columns and keys are known.
    pub complete: bool,
    /// Positions of columns that are unique and cannot be NULL, or whose NULLs are equal.
    pub keys: Vec<Vec<usize>>,
    /// The first column of each index that finds rows.
    pub indexed: Vec<String>,
    pub has_children: bool,
    pub row_security: bool,
    pub query: Option<SelectStmt>,
    pub names: Vec<String>,
}

impl Relation {
    pub fn new(kind: Kind) -> Relation {
        Relation {
            kind,
            columns: Vec::new(),
            complete: true,
            keys: Vec::new(),
            indexed: Vec::new(),
            has_children: false,
            row_security: false,
            query: None,
            names: Vec::new(),
        }
    }

    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name)
    }
}

pub fn set_not_null(table: &mut Relation, column: &str) {
    if let Some(at) = table.position(column) {
        table.columns[at].not_null = true;
    }
}

pub fn constrain(table: &mut Relation, columns: &[String], constraint: &Constraint) {
    match ConstrType::try_from(constraint.contype) {
        Ok(ConstrType::ConstrPrimary) => {
            columns.iter().for_each(|c| set_not_null(table, c));
            index_of(table, columns);
            if !constraint.deferrable {
                key(table, columns, false);
            }
        }
        Ok(ConstrType::ConstrUnique) => {
            index_of(table, columns);
            if !constraint.deferrable {
                key(table, columns, constraint.nulls_not_distinct);
            }
        }
        Ok(ConstrType::ConstrNotnull) => columns.iter().for_each(|c| set_not_null(table, c)),
        _ => {}
    }
}

pub fn index_of(table: &mut Relation, columns: &[String]) {
    table.indexed.extend(columns.first().cloned());
}

pub fn key(table: &mut Relation, columns: &[String], nulls_not_distinct: bool) {
    let positions: Option<Vec<usize>> = columns.iter().map(|c| table.position(c)).collect();
    if let Some(positions) = positions
        && (nulls_not_distinct || positions.iter().all(|p| table.columns[*p].not_null))
    {
        table.keys.push(positions);
    }
}
