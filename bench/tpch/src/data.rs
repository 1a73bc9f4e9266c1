//! The tables and their data.
//! Invariant: one scale factor gives one content, to the byte.
//! Called by `check` and `bench`.

use anyhow::{Context, Result};
use postgres::Client;
use std::fmt::Display;
use std::io::Write;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};

const SCHEMA: &str = include_str!("../schema.sql");
const KEYS: &str = include_str!("../keys.sql");
const RELAXED: &str = include_str!("../relaxed.sql");

/// The schema `tpch` anew, with data of a scale factor. `relaxed`: nullable columns, cascading foreign keys.
pub fn load(client: &mut Client, scale: f64, relaxed: bool) -> Result<()> {
    client.batch_execute("CREATE EXTENSION IF NOT EXISTS pg_tviews").context("CREATE EXTENSION pg_tviews")?;
    client.batch_execute(SCHEMA)?;
    copy(client, "region", RegionGenerator::new(scale, 1, 1).iter())?;
    copy(client, "nation", NationGenerator::new(scale, 1, 1).iter())?;
    copy(client, "part", PartGenerator::new(scale, 1, 1).iter())?;
    copy(client, "supplier", SupplierGenerator::new(scale, 1, 1).iter())?;
    copy(client, "partsupp", PartSuppGenerator::new(scale, 1, 1).iter())?;
    copy(client, "customer", CustomerGenerator::new(scale, 1, 1).iter())?;
    copy(client, "orders", OrderGenerator::new(scale, 1, 1).iter())?;
    copy(client, "lineitem", LineItemGenerator::new(scale, 1, 1).iter())?;
    client.batch_execute(KEYS)?;
    if relaxed {
        client.batch_execute(RELAXED)?;
    }
    client.batch_execute("VACUUM ANALYZE")?;
    Ok(())
}

/// Rows show themselves as dbgen writes them: fields that end with `|`. No field has one, or a backslash, inside.
fn copy<T: Display>(client: &mut Client, table: &str, rows: impl Iterator<Item = T>) -> Result<()> {
    let mut writer = client.copy_in(&format!("COPY tpch.{table} FROM STDIN (DELIMITER '|')"))?;
    let mut line = String::new();
    for row in rows {
        use std::fmt::Write as _;
        line.clear();
        write!(line, "{row}")?;
        line.pop();
        line.push('\n');
        writer.write_all(line.as_bytes())?;
    }
    writer.finish().with_context(|| format!("loading {table}"))?;
    Ok(())
}
