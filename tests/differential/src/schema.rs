//! A random schema: two to five tables with their initial rows.
//! Invariant: a column name has one type throughout the schema (so NATURAL and USING are legal), and every table has a column, `note_N`, that no query uses.
//! Called by `case`; used by the query and transaction generators.

use crate::dice::Dice;
use crate::hazards::Hazard;
use crate::names::{self, ident};
use crate::types::{self, Ty};

#[derive(Clone, Debug)]
pub struct Column {
    /// already quoted
    pub name: String,
    pub ty: Ty,
    pub nullable: bool,
    pub generated: bool,
    /// index of the table it references
    pub fk: Option<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Plain,
    /// partitioned by this column; names of the leaves
    Parted {
        column: usize,
        leaves: Vec<String>,
        bounds: Vec<String>,
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
    pub note: String,
    /// tables whose foreign keys point here
    pub referenced: bool,
    pub cascades: bool,
}

impl Table {
    /// Columns that can be written.
    pub fn writable(&self) -> Vec<usize> {
        (0..self.columns.len()).filter(|&i| !self.columns[i].generated).collect()
    }

    pub fn list(&self, which: &[usize]) -> String {
        which.iter().map(|&i| self.columns[i].name.clone()).collect::<Vec<_>>().join(", ")
    }

    /// Expressions that order its rows totally, except rows that are the same in every column.
    pub fn total_order(&self, alias: &str) -> Vec<String> {
        let which: Vec<usize> = if self.key.is_empty() || self.kind != Kind::Plain {
            (0..self.columns.len()).collect()
        } else {
            self.key.clone()
        };
        which
            .iter()
            .map(|&i| {
                let c = &self.columns[i];
                if c.ty.is_ambiguous() || !c.ty.has_equality() {
                    format!("{alias}.{}::text", c.name)
                } else {
                    format!("{alias}.{}", c.name)
                }
            })
            .collect()
    }
}

#[derive(Clone, Debug)]
pub struct Schema {
    pub tables: Vec<Table>,
    /// a trigger of the user's writes to some table whenever another is written
    pub has_trigger: bool,
}

pub struct Built {
    pub schema: Schema,
    pub ddl: Vec<String>,
    pub rows: Vec<String>,
    pub hazards: Vec<Hazard>,
}

pub fn build(dice: &mut Dice) -> Built {
    let mut ddl: Vec<String> = types::CREATE.iter().map(|s| s.to_string()).collect();
    let mut hazards = vec![];
    let pool = pool(dice);
    let count = dice.between(2, 5);
    let table_names = names::some(dice, names::TABLES, count);
    let mut tables: Vec<Table> = vec![];
    for (number, name) in table_names.iter().enumerate() {
        let table = table(dice, number, name, &pool, &tables, &mut ddl, &mut hazards);
        for column in &table.columns {
            if let Some(parent) = column.fk {
                tables[parent].referenced = true;
            }
        }
        tables.push(table);
    }
    trigger(dice, &tables, &mut ddl, &mut hazards);
    let has_trigger = hazards.contains(&Hazard::UserTrigger);
    let schema = Schema { tables, has_trigger };
    let mut rows = vec![];
    for number in 0..schema.tables.len() {
        for _ in 0..dice.below(9) {
            rows.push(insert_row(dice, &schema, number) + " ON CONFLICT DO NOTHING");
        }
    }
    Built { schema, ddl, rows, hazards }
}

/// The columns tables are made of: name and type.
fn pool(dice: &mut Dice) -> Vec<(String, Ty)> {
    let names = names::some(dice, names::COLUMNS, 11);
    let mut pool = vec![];
    for (i, name) in names.into_iter().enumerate() {
        let ty = match i {
            0..=2 => Ty::Int,
            3 => Ty::Text,
            4 => *dice.pick(&[Ty::Num, Ty::Float, Ty::Big]),
            _ => *dice.pick(types::ALL),
        };
        pool.push((ident(&name), ty));
    }
    pool
}

fn table(
    dice: &mut Dice,
    number: usize,
    name: &str,
    pool: &[(String, Ty)],
    earlier: &[Table],
    ddl: &mut Vec<String>,
    hazards: &mut Vec<Hazard>,
) -> Table {
    let name = ident(name);
    let mut columns: Vec<Column> = vec![];
    let mut key = vec![];
    let key_kind = dice.weighted(&[(45, "int"), (12, "two"), (8, "text"), (10, "uuid"), (25, "none")]);
    let plain = |name: &str, ty, nullable| Column { name: name.to_string(), ty, nullable, generated: false, fk: None };
    match key_kind {
        "int" => columns.push(plain("id", Ty::Int, false)),
        "text" => columns.push(plain("id_text", Ty::Text, false)),
        "uuid" => columns.push(plain("id_uuid", Ty::Uuid, false)),
        _ => {}
    }
    if !columns.is_empty() {
        key.push(0);
    }
    // the first columns of the pool are in most tables: they are what joins meet on
    let width = dice.between(3, 6);
    for (i, (column, ty)) in pool.iter().enumerate() {
        if columns.len() < width + 1 && dice.chance(if i < 4 { 75 } else { 35 }) {
            let nullable = dice.chance(80);
            columns.push(plain(column, *ty, nullable));
        }
    }
    if !columns.iter().any(|c| c.ty == Ty::Int && c.name != "id") {
        columns.push(plain(&pool[0].0, Ty::Int, true));
    }
    if key_kind == "two" && columns.len() >= 2 && columns[0].ty.has_equality() && columns[1].ty.has_equality() {
        key = vec![0, 1];
        columns[0].nullable = false;
        columns[1].nullable = false;
    }
    if key.is_empty() {
        hazards.push(Hazard::TableWithoutKey);
    }
    let kind_name = dice.weighted(&[(70, "plain"), (11, "list"), (9, "range"), (10, "parent")]);
    // a real foreign key
    let mut cascades = false;
    let mut fk_sql = vec![];
    let parents: Vec<usize> = (0..earlier.len())
        .filter(|&i| earlier[i].kind == Kind::Plain && earlier[i].key == [0] && earlier[i].columns[0].ty == Ty::Int)
        .collect();
    if let Some(&parent) = dice.maybe(&parents) {
        if dice.chance(60) {
            let action = *dice.pick(&[
                "",
                "",
                " ON DELETE CASCADE",
                " ON DELETE SET NULL",
                " ON DELETE CASCADE ON UPDATE CASCADE",
            ]);
            let deferred = if dice.chance(20) { " DEFERRABLE INITIALLY DEFERRED" } else { "" };
            let column = format!("fk_{number}_{parent}");
            columns.push(Column {
                name: column.clone(),
                ty: Ty::Int,
                nullable: true,
                generated: false,
                fk: Some(parent),
            });
            fk_sql.push(format!("FOREIGN KEY ({column}) REFERENCES {}{action}{deferred}", earlier[parent].name));
            cascades = action.contains("CASCADE") || action.contains("NULL");
        }
    }
    let mut generated = String::new();
    if kind_name == "plain" && dice.chance(15) {
        if let Some(from) = columns.iter().find(|c| c.ty == Ty::Int) {
            generated = format!("coalesce({}, 0) % 3", from.name);
            columns.push(Column {
                name: format!("gen_{number}"),
                ty: Ty::Int,
                nullable: true,
                generated: true,
                fk: None,
            });
            hazards.push(Hazard::GeneratedColumn);
        }
    }
    let note = format!("note_{number}");
    let part_columns: Vec<usize> = (0..columns.len())
        .filter(|&i| columns[i].ty == Ty::Int && columns[i].fk.is_none() && !columns[i].generated)
        .collect();
    let part = part_columns.iter().copied().find(|&i| columns[i].name != "id").unwrap_or(0);
    if matches!(kind_name, "list" | "range") && !key.is_empty() && !key.contains(&part) {
        key.push(part);
        columns[part].nullable = false;
    }
    let gone = dice.chance(25);
    let mut lines = vec![];
    for (i, c) in columns.iter().enumerate() {
        if gone && i == columns.len() / 2 {
            lines.push("gone int DEFAULT 7".to_string());
        }
        let mut line = format!("{} {}", c.name, c.ty.sql());
        if c.generated {
            line += &format!(" GENERATED ALWAYS AS ({generated}) STORED");
        } else if !c.nullable {
            line += " NOT NULL";
        }
        lines.push(line);
    }
    lines.push(format!("{note} int DEFAULT 0"));
    if !key.is_empty() {
        lines.push(format!(
            "PRIMARY KEY ({})",
            key.iter().map(|&i| columns[i].name.clone()).collect::<Vec<_>>().join(", ")
        ));
    }
    let mut unique = vec![];
    if kind_name == "plain" && dice.chance(15) {
        let able: Vec<usize> = (0..columns.len())
            .filter(|i| !key.contains(i) && columns[*i].ty.has_equality() && !columns[*i].generated)
            .collect();
        if let Some(&i) = dice.maybe(&able) {
            unique.push(i);
            lines.push(format!("UNIQUE ({})", columns[i].name));
        }
    }
    lines.extend(fk_sql);
    let body = lines.join(",\n    ");
    let drop_gone = format!("ALTER TABLE {name} DROP COLUMN gone");
    let bare = name.trim_matches('"').to_string();
    let kind = match kind_name {
        "list" | "range" => {
            let list = kind_name == "list";
            let by = if list { "LIST" } else { "RANGE" };
            ddl.push(format!("CREATE TABLE {name} (\n    {body}\n) PARTITION BY {by} ({})", columns[part].name));
            let mut leaves = vec![];
            let mut bounds = vec![];
            let all = if list {
                ["FOR VALUES IN (0, 1)", "FOR VALUES IN (2, NULL)", "DEFAULT"]
            } else {
                ["FOR VALUES FROM (MINVALUE) TO (2)", "FOR VALUES FROM (2) TO (4)", "DEFAULT"]
            };
            if gone {
                ddl.push(drop_gone);
                hazards.push(Hazard::DroppedColumn);
            }
            for (i, bound) in all.iter().enumerate() {
                let leaf = ident(&format!("{bare}_p{i}"));
                if i == 1 && gone && key.is_empty() {
                    // another physical order of columns than the parent's
                    let mut own: Vec<String> = columns
                        .iter()
                        .map(|c| format!("{} {}{}", c.name, c.ty.sql(), if c.nullable { "" } else { " NOT NULL" }))
                        .collect();
                    own.push(format!("{note} int DEFAULT 0"));
                    own.reverse();
                    ddl.push(format!("CREATE TABLE {leaf} ({})", own.join(", ")));
                    ddl.push(format!("ALTER TABLE {name} ATTACH PARTITION {leaf} {bound}"));
                } else {
                    ddl.push(format!("CREATE TABLE {leaf} PARTITION OF {name} {bound}"));
                }
                leaves.push(leaf);
                bounds.push(bound.to_string());
            }
            Kind::Parted { column: part, leaves, bounds }
        }
        _ => {
            ddl.push(format!("CREATE TABLE {name} (\n    {body}\n)"));
            if gone {
                ddl.push(drop_gone);
                hazards.push(Hazard::DroppedColumn);
            }
            if kind_name == "parent" {
                let child = ident(&format!("{bare}_child"));
                ddl.push(format!("CREATE TABLE {child} (child_extra int) INHERITS ({name})"));
                Kind::Parent { child }
            } else {
                Kind::Plain
            }
        }
    };
    Table { name, columns, key, unique, kind, note, referenced: false, cascades }
}

/// Sometimes a trigger of the user's on one table that writes to another, or that raises and catches an error.
fn trigger(dice: &mut Dice, tables: &[Table], ddl: &mut Vec<String>, hazards: &mut Vec<Hazard>) {
    if !dice.chance(15) {
        return;
    }
    let from = dice.below(tables.len());
    let to = dice.below(tables.len());
    if from == to {
        return;
    }
    let (source, target) = (&tables[from], &tables[to]);
    let Some(column) =
        target.columns.iter().find(|c| c.ty == Ty::Int && c.fk.is_none() && !c.generated && c.name != "id")
    else {
        return;
    };
    let level = if dice.chance(50) { "ROW" } else { "STATEMENT" };
    let name = &column.name;
    ddl.push(format!(
        "CREATE FUNCTION trg() RETURNS trigger LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    IF pg_trigger_depth() > 1 THEN RETURN NULL; END IF;
    BEGIN
        UPDATE {t} SET {name} = (coalesce({name}, 0) + 1) % 5 WHERE {name} = 3;
        PERFORM 1 / (SELECT count(*)::int % 2 FROM {t});
    EXCEPTION WHEN division_by_zero OR unique_violation OR check_violation THEN
        UPDATE {t} SET {name} = 0 WHERE {name} = 4 AND {note} = 0;
    END;
    RETURN NULL;
END $$",
        t = target.name,
        note = target.note
    ));
    ddl.push(format!(
        "CREATE TRIGGER trg AFTER INSERT OR UPDATE OR DELETE ON {} FOR EACH {level} EXECUTE FUNCTION trg()",
        source.name
    ));
    hazards.push(Hazard::UserTrigger);
}

/// A value for a column of a new row.
pub fn value(dice: &mut Dice, schema: &Schema, table: usize, column: usize) -> String {
    let c = &schema.tables[table].columns[column];
    if let Some(parent) = c.fk {
        let parent = &schema.tables[parent];
        let key = &parent.columns[0].name;
        return format!("(SELECT {key} FROM {} ORDER BY {key} OFFSET {} LIMIT 1)", parent.name, dice.below(5));
    }
    if c.nullable && dice.chance(20) {
        return "NULL".into();
    }
    if schema.tables[table].key.contains(&column) && !partition_column(schema, table, column) {
        let raw = c.ty.raw_key(dice);
        return c.ty.quote(&raw);
    }
    c.ty.literal(dice)
}

fn partition_column(schema: &Schema, table: usize, column: usize) -> bool {
    matches!(&schema.tables[table].kind, Kind::Parted { column: part, .. } if *part == column)
}

/// `INSERT` of one random row, without ending.
pub fn insert_row(dice: &mut Dice, schema: &Schema, table: usize) -> String {
    let t = &schema.tables[table];
    let which = t.writable();
    let values: Vec<String> = which.iter().map(|&i| value(dice, schema, table, i)).collect();
    format!("INSERT INTO {} ({}) VALUES ({})", t.name, t.list(&which), values.join(", "))
}
