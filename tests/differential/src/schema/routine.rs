//! Functions, aggregates and triggers of the user's.
//! Invariant: functions of queries are total and IMMUTABLE, as long as nobody replaces them. Called by `schema::build`, and by `plan`, which does.

use super::Table;
use crate::dice::Dice;
use crate::hazards::Hazard;
use crate::types::Ty;

/// The function `name` with a body that depends on `n`.
pub fn function(name: &str, n: usize) -> String {
    match name {
        "shade" => format!(
            "CREATE OR REPLACE FUNCTION shade(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT (coalesce($1, 0) * 7 + {n}) % 5'"
        ),
        _ => format!(
            "CREATE OR REPLACE FUNCTION tint(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN (coalesce($1, 2) + {n}) % 4; END'"
        ),
    }
}

/// Of the extension that has the functions in some cases: from each one can be updated to each other.
pub const VERSIONS: usize = 4;

/// The files of the extension, by name.
pub fn extension() -> Vec<(String, String)> {
    let control = "comment = 'functions of the differential test'\ndefault_version = '0'\nrelocatable = false\n";
    let mut all = vec![("fuzz_tools.control".to_string(), control.to_string())];
    for to in 0..VERSIONS {
        let script = format!("{};\n{};\n", function("shade", to), function("tint", to));
        all.extend(
            (0..VERSIONS)
                .filter(|from| *from != to)
                .map(|from| (format!("fuzz_tools--{from}--{to}.sql"), script.clone())),
        );
        all.push((format!("fuzz_tools--{to}.sql"), script));
    }
    all
}

/// `squares` has the inverse that moving windows use, and starts at 0; `residue` has none, and counts NULL.
pub fn create(by_extension: bool) -> Vec<String> {
    let mut all = match by_extension {
        true => vec!["CREATE EXTENSION fuzz_tools SCHEMA fuzz".to_string()],
        false => vec![function("shade", 1), function("tint", 3)],
    };
    all.extend([
        "CREATE FUNCTION squares_add(bigint, int) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT AS 'SELECT $1 + $2::bigint * $2'",
        "CREATE FUNCTION squares_sub(bigint, int) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT AS 'SELECT $1 - $2::bigint * $2'",
        "CREATE AGGREGATE squares(int) (SFUNC = squares_add, STYPE = bigint, INITCOND = '0', MSFUNC = squares_add, MINVFUNC = squares_sub, MSTYPE = bigint, MINITCOND = '0')",
        "CREATE FUNCTION residue_add(bigint, int) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN ((coalesce($1, 1) + coalesce($2, 5) * 3) % 97 + 97) % 97; END'",
        "CREATE AGGREGATE residue(int) (SFUNC = residue_add, STYPE = bigint)",
    ].map(String::from));
    all
}

/// Sometimes a trigger of the user's on one table that writes to another, or that raises and catches an error.
pub fn trigger(dice: &mut Dice, tables: &[Table], ddl: &mut Vec<String>, hazards: &mut Vec<Hazard>) {
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
