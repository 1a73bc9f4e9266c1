//! TVIEWs that are filled again: after a crash, and by dump and restore.
//! Invariant: whoever fills them is a superuser, as whom no function of a query may run. Called by `identity`.

use super::Test;
use super::places::QUERIES;
use super::runs;
use crate::database::Server;
use crate::session::Session;
use anyhow::{Result, bail};
use std::process::Command;

/// A crash empties the TVIEWs; who reads one fills it.
pub(super) fn recovery(server: &mut Server, admin: &mut Session, database: &str, test: &mut Test) -> Result<()> {
    Command::new("kill").args(["-9", &admin.pid.to_string()]).status()?;
    admin.send("SELECT 1");
    *admin = Session::connect_again(&server.dsn, database, None)?;
    runs(test.log)?;
    for (view, _) in QUERIES {
        admin.send(&format!("SELECT count(*) FROM ident.{view}"));
        test.judge(&format!("recovery of {view}"), "postgres", false)?;
    }
    server.make_template()
}

/// pg_dump and psql, as an administrator does it.
pub(super) fn restore(server: &mut Server, database: &str, test: &mut Test) -> Result<()> {
    let mut admin = server.admin()?;
    let programs = admin.one("SELECT setting FROM pg_config WHERE name = 'BINDIR'")?;
    let config: postgres::Config = server.dsn.parse()?;
    let host = admin.one("SELECT split_part(current_setting('unix_socket_directories'), ',', 1)")?;
    let port = config.get_ports().first().copied().unwrap_or(5432).to_string();
    let user = config.get_user().unwrap_or("postgres").to_string();
    let run = |program: &str, arguments: &[&str]| -> Result<()> {
        let mut command = Command::new(format!("{programs}/{program}"));
        command.args(["-h", &host, "-p", &port, "-U", &user]).args(arguments);
        let done = command.output()?;
        if !done.status.success() {
            bail!("{program}: {}", String::from_utf8_lossy(&done.stderr));
        }
        Ok(())
    };
    admin.rows("DROP DATABASE IF EXISTS hostile_restored WITH (FORCE)")?;
    admin.rows("CREATE DATABASE hostile_restored TEMPLATE template0")?;
    let file = std::env::temp_dir().join(format!("hostile-{}.sql", std::process::id()));
    let path = file.to_string_lossy().into_owned();
    // schemas of the extension are made by it
    let dumped = run("pg_dump", &["-f", &path, database]);
    test.judge("pg_dump", "postgres", false)?;
    let restored = dumped.and_then(|_| run("psql", &["-X", "-q", "-o", "/dev/null", "-f", &path, "hostile_restored"]));
    let _ = std::fs::remove_file(&file);
    restored?;
    test.judge("restore", "postgres", false)?;
    server.drop("hostile_restored")
}
