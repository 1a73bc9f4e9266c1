//! What the driver's client does not do by itself: rows as text, COPY, whether it has lost its place.
//! Invariant: nothing here changes what a session is set to, but `connect`, which makes one. Called by `session`, `run` and `concurrent`.

use super::settings;
use postgres::{Client, NoTls, SimpleQueryMessage};
use std::io::Write;

/// A session that can compare.
pub fn connect(dsn: &str) -> Result<Client, postgres::Error> {
    let mut client = Client::connect(dsn, NoTls)?;
    client.batch_execute(&settings::comparing())?;
    Ok(client)
}

/// Runs a statement and returns its rows, columns joined by a blank.
pub fn rows(client: &mut Client, sql: &str) -> Result<Vec<String>, postgres::Error> {
    let mut out = vec![];
    for message in client.simple_query(sql)? {
        if let SimpleQueryMessage::Row(row) = message {
            out.push((0..row.len()).map(|i| row.get(i).unwrap_or("NULL")).collect::<Vec<_>>().join(" "));
        }
    }
    Ok(out)
}

/// COPY FROM STDIN; how many rows it has written.
pub fn copy_in(client: &mut Client, sql: &str, data: &str) -> Result<u64, postgres::Error> {
    client.copy_in(sql).and_then(|mut writer| {
        // what the server says comes with finish
        let _ = writer.write_all(data.as_bytes());
        writer.finish()
    })
}

/// Whether the driver takes the answer to one message for that to the next from now on. After a COPY that the server refuses before it has read
/// anything it does: it has sent Sync twice, for one answer that it expects. An answer that does not fit a query tells.
pub fn has_lost_its_place(client: &mut Client) -> bool {
    match client.simple_query("SELECT 1") {
        Ok(answer) => answer.is_empty(),
        Err(e) => e.as_db_error().is_none() && !client.is_closed(),
    }
}
