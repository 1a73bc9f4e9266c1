//! Odd names of tables and columns: reserved words, upper case, quotes, 63 bytes, and names that generated SQL might use itself.
//! Invariant: none is longer than an identifier may be, and none is there twice. Used by `schema` and `query`.

use crate::dice::Dice;

const LONGEST: &str = "a_name_that_takes_all_of_the_sixty_three_bytes_an_identifier_ha";

pub const COLUMNS: &[&str] = &[
    "a",
    "b",
    "c",
    "d",
    "q",
    "e",
    "f",
    "g",
    "k1",
    "k2",
    "c1",
    "c2",
    "present",
    "ctid_",
    "Order",
    "select",
    "user",
    "key",
    "value",
    "old",
    "new",
    "weight",
    "count",
    "row",
    "quo\"te",
    "with space",
    "fk_x",
    "data",
    "n",
    "t",
    "r",
    "s",
    "sum",
    "mult",
    "w",
    "delta",
    "__k",
    "tview",
    LONGEST,
];

pub const TABLES: &[&str] = &[
    "tb_post", "tb_user", "Order", "group", "t 1", "t", "d", "q", "inserted", "deleted", "old", "base", "k", "tview_x",
    "Ünï",
];

/// As an identifier in SQL; always quoted, for reserved words are among them.
pub fn ident(name: &str) -> String {
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit())
        && !matches!(
            name,
            "select"
                | "user"
                | "old"
                | "new"
                | "row"
                | "group"
                | "order"
                | "count"
                | "sum"
                | "value"
                | "key"
                | "tview"
                | "deleted"
                | "inserted"
        );
    if plain { name.to_string() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// `n` different names.
pub fn some(dice: &mut Dice, from: &[&str], n: usize) -> Vec<String> {
    let mut all: Vec<String> = from.iter().map(|s| s.to_string()).collect();
    dice.shuffle(&mut all);
    all.truncate(n);
    all
}
