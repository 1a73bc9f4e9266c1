//! Counters and hours survive a clean restart in a file, as those of contrib/pg_stat_statements do.
//!
//! Written when the last process of a server ends that was shut down cleanly; read and removed when the server starts, so that neither a crash nor a
//! base backup ever finds an old one. After a crash everything starts from zero, as the server's cumulative statistics do (xlog.c, StartupXLOG):
//! whether there was one is in pg_control, for the postmaster also ends with code 0 when it was stopped immediately. Invariant: nothing here raises an
//! error; what cannot be read or written is told in the log, and counting starts from zero.
//! Called by the shared memory's start and end. The entries of dropped TVIEWs and databases are those that they were: `Table::sweep`.

use super::{Table, Text};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, pg_sys};
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::Ordering::Relaxed;
use tviews_core::stat_file::{self, Kept, OfTview, Stamp};

// Below the data directory, where processes of a server are. Source: utils/pgstat_internal.h, PGSTAT_STAT_PERMANENT_DIRECTORY.
const FILE: &str = "pg_stat/pg_tviews.stat";
const TEMPORARY: &str = "pg_stat/pg_tviews.stat.tmp";

/// Reads what was kept, if the server was shut down cleanly.
pub fn load(table: &Table) {
    let bytes = match fs::read(FILE) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return,
        Err(error) => return log("could not read", &error.to_string()),
    };
    if let Err(error) = fs::remove_file(FILE) {
        log("could not remove", &error.to_string());
    }
    if !was_shut_down() {
        return;
    }
    match stat_file::decode(&bytes, stamp()) {
        Ok(kept) => table.take_over(kept),
        Err(wrong) => log("ignored", wrong),
    }
}

/// Writes what has to be kept.
///
/// # Safety
/// `area` begins with the table, which no other process uses any more.
pub unsafe fn save(area: *mut u8) {
    // SAFETY: as the caller promises.
    let table = unsafe { &*area.cast::<Table>() };
    if was_shut_down()
        && let Err(error) = write(&stat_file::encode(&table.to_keep(), stamp()))
    {
        log("could not write", &error.to_string());
        let _ = fs::remove_file(TEMPORARY);
    }
}

fn write(bytes: &[u8]) -> io::Result<()> {
    fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(TEMPORARY)?.write_all(bytes)?;
    let (from, to) = (c"pg_stat/pg_tviews.stat.tmp", c"pg_stat/pg_tviews.stat");
    // SAFETY: at this level it says in the log what goes wrong, and raises nothing. It writes both through to the disk.
    unsafe { pg_sys::durable_rename(from.as_ptr(), to.as_ptr(), pg_sys::LOG as i32) };
    Ok(())
}

/// Whether pg_control says that the server is, or was, shut down cleanly, as a primary or as a standby.
fn was_shut_down() -> bool {
    let Ok(bytes) = fs::read("global/pg_control") else { return false };
    if bytes.len() < size_of::<pg_sys::ControlFileData>() {
        return false;
    }
    // SAFETY: the file begins with the struct, whatever its address here; the server has checked it, or written it.
    let state = unsafe {
        let control = bytes.as_ptr().cast::<pg_sys::ControlFileData>();
        (&raw const (*control).state).read_unaligned()
    };
    matches!(state, pg_sys::DBState::DB_SHUTDOWNED | pg_sys::DBState::DB_SHUTDOWNED_IN_RECOVERY)
}

fn stamp() -> Stamp {
    // SAFETY: the identifier has been read from pg_control by now.
    Stamp { major: pg_sys::PG_VERSION_NUM / 10_000, system: unsafe { pg_sys::GetSystemIdentifier() } }
}

fn log(what: &str, why: &str) {
    let message = format!("{what} file \"{FILE}\": {why}");
    ErrorReport::new(PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION, message, "kept")
        .set_detail("The counters of tviews.stat are lost.")
        .report(PgLogLevel::LOG);
}

impl Table {
    fn to_keep(&self) -> Kept {
        let used = self.keys.iter().zip(&self.slots).filter(|(key, _)| key.load(Relaxed) != 0);
        let tviews = used.map(|(key, slot)| OfTview {
            key: key.load(Relaxed),
            counters: std::array::from_fn(|i| slot.counters[i].load(Relaxed)),
            // SAFETY: no other process uses it.
            error: unsafe { (*slot.error.get()).bytes().to_vec() },
        });
        Kept { since: self.since.load(Relaxed), tviews: tviews.collect(), hours: self.hours.to_keep() }
    }

    /// Fills an empty table; what does not fit is left out.
    fn take_over(&self, kept: Kept) {
        self.since.store(kept.since, Relaxed);
        for of in kept.tviews.into_iter().filter(|of| of.key != 0) {
            let Some(place) =
                Table::probe(of.key).find(|i| matches!(self.keys[*i].load(Relaxed), k if k == 0 || k == of.key))
            else {
                continue;
            };
            self.keys[place].store(of.key, Relaxed);
            self.slots[place].counters.iter().zip(of.counters).for_each(|(c, n)| c.store(n, Relaxed));
            // SAFETY: no other process uses it yet.
            unsafe { *self.slots[place].error.get() = Text::new(&of.error) };
        }
        self.hours.take_over(kept.hours);
    }
}
