//! A client that listens to the change feed: `tviews_listen DSN` prints one line when it listens, and then each payload as a line, as it comes.
//! Invariant: it ends with the connection only, and that is an error. Called by regress/t/feed.py, which compares it with psycopg.

#![forbid(unsafe_code)]

use anyhow::{Context, Result, bail};
use postgres::fallible_iterator::FallibleIterator;
use postgres::{Client, NoTls};
use std::io::Write;

fn main() -> Result<()> {
    let dsn = std::env::args().nth(1).context("usage: tviews_listen DSN")?;
    let mut client = Client::connect(&dsn, NoTls)?;
    client.batch_execute("LISTEN tviews")?;
    let mut out = std::io::stdout();
    writeln!(out, "listening")?;
    out.flush()?;
    let mut notifications = client.notifications();
    let mut messages = notifications.blocking_iter();
    while let Some(message) = messages.next()? {
        writeln!(out, "{}", message.payload())?;
        out.flush()?;
    }
    bail!("the connection has ended")
}
