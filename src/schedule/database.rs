//! Statements that want a database for themselves: its workers leave before them, and with them the slot is not in use.
//!
//! Invariant: workers are kept off until the statement's transaction has ended, however it ends; a database that was dropped is off the board.
//! Source: storage/ipc/procarray.c, CountOtherDBBackends, which waits five seconds for other processes to go.

use super::desk;
use crate::log::board;
use crate::pg::process::process;
use crate::pg::{acl, list};
use pgrx::pg_sys;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::CStr;
use std::time::{Duration, Instant};

/// So long the launcher starts no workers, should the session be killed.
const LEAVE: i64 = 60_000_000;
const WAIT: Duration = Duration::from_secs(5);

process! {
    /// The database that this transaction has for itself, and whether it drops it.
    static OWN: Cell<Option<(u32, bool)>> = const { Cell::new(None) };
}

/// The transaction has ended.
pub fn end(undone: bool) {
    let Some((database, drops)) = OWN.take() else { return };
    let Some(place) = board::of(database) else { return };
    if drops && !undone {
        place.clear();
    } else {
        place.leave_until(0);
    }
}

/// Before DROP DATABASE, ALTER DATABASE … RENAME or SET TABLESPACE, and CREATE DATABASE … TEMPLATE, by who may do that.
///
/// # Safety
/// `tree` is a live node of a tree of the server, inside of a transaction.
pub unsafe fn before(tree: *mut pg_sys::Node) {
    use pg_sys::NodeTag::*;
    // SAFETY: as the caller promises.
    unsafe {
        let option = |options: *mut pg_sys::List, name: &CStr| {
            list::iter::<pg_sys::DefElem>(options).find(|d| CStr::from_ptr((**d).defname) == name)
        };
        let name = match (*tree).type_ {
            T_DropdbStmt => (*tree.cast::<pg_sys::DropdbStmt>()).dbname,
            T_RenameStmt if (*tree.cast::<pg_sys::RenameStmt>()).renameType == pg_sys::ObjectType::OBJECT_DATABASE => {
                (*tree.cast::<pg_sys::RenameStmt>()).subname
            }
            T_AlterDatabaseStmt => {
                let stmt = &*tree.cast::<pg_sys::AlterDatabaseStmt>();
                option(stmt.options, c"tablespace").map_or(std::ptr::null_mut(), |_| stmt.dbname)
            }
            T_CreatedbStmt => match option((*tree.cast::<pg_sys::CreatedbStmt>()).options, c"template") {
                Some(template) if !(*template).arg.is_null() => pg_sys::defGetString(template),
                _ => std::ptr::null_mut(),
            },
            _ => return,
        };
        if !name.is_null() {
            leave(name, (*tree).type_ == T_DropdbStmt);
        }
    }
}

/// After CREATE DATABASE: the copy of a database with workers needs workers of its own, although nobody may write to its logs.
///
/// # Safety
/// As for `before`.
pub unsafe fn after(tree: *mut pg_sys::Node) {
    // SAFETY: as the caller promises; look-ups of a shared catalog inside a transaction.
    unsafe {
        let stmt = &*tree.cast::<pg_sys::CreatedbStmt>();
        let mut from = c"template1".to_owned();
        for option in list::iter::<pg_sys::DefElem>(stmt.options) {
            if CStr::from_ptr((*option).defname) == c"template" && !(*option).arg.is_null() {
                from = CStr::from_ptr(pg_sys::defGetString(option)).to_owned();
            }
        }
        pg_sys::CommandCounterIncrement();
        let [from, made] =
            [from.as_ptr(), stmt.dbname.cast_const()].map(|name| pg_sys::get_database_oid(name, true).to_u32());
        if let Some(place) = board::of(from).filter(|_| from != 0 && made != 0) {
            for what in [board::SCHEDULE, board::WAL].into_iter().filter(|what| place.wants(*what)) {
                board::want_of(made, what);
            }
        }
    }
}

/// # Safety
/// `name` is a C string.
unsafe fn leave(name: *const std::ffi::c_char, drops: bool) {
    // SAFETY: as the caller promises; a look-up of a shared catalog inside a transaction.
    unsafe {
        let database = pg_sys::get_database_oid(CStr::from_ptr(name).as_ptr(), true);
        let Some(place) = board::of(database.to_u32()).filter(|_| database != pg_sys::InvalidOid) else { return };
        if !acl::owns_database(database) {
            return;
        }
        place.leave_until(pg_sys::GetCurrentTimestamp() + LEAVE);
        OWN.set(Some((database.to_u32(), drops)));
        let processes = || {
            let workers = desk::of(database.to_u32()).map(desk::Desk::worker);
            [place.pid(), place.reader()].into_iter().chain(workers).filter(|pid| *pid != 0).collect::<BTreeSet<i32>>()
        };
        let mut told = BTreeSet::new();
        let since = Instant::now();
        // A worker that was just being started comes, sees that it is not wanted, and goes.
        while since.elapsed() < WAIT {
            let left = processes();
            for pid in left.difference(&told) {
                libc::kill(*pid, libc::SIGTERM);
            }
            if left.is_empty() {
                break;
            }
            told.extend(left);
            pgrx::check_for_interrupts!();
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
