//! The process that reads WAL into the logs of one database, and decides what is captured from there.
//!
//! Invariant: rows, and up to where WAL has been read, are written by one transaction, which is on disk before the slot is told. So a process or a
//! server that is killed between any two steps goes on where the last such transaction was. What it cannot go on with, it gives up: slots that are
//! gone, invalidated, or moved on by others (`Look::lost`) leave their relations to triggers, and readers compute their contents anew.
//! One process works in a database at a time, by a lock of its session. Started by the launcher (src/schedule).

use super::reader::{self, Reader};
use super::{apply, fit, plugin, slot, switch};
use crate::capture::install;
use crate::catalog::wal::{self, Span};
use crate::catalog::{self, logs};
use crate::log::board::{self, Place};
use crate::pg::background;
use crate::pg::error::or_raise;
use crate::pg::guc::{self, CdcMode};
use crate::pg::relation::class_of;
use pgrx::{pg_guard, pg_sys};
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// How often the catalog is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// So long a switch waits for the locks on its tables, and keeps writers that come later waiting.
const LOCK_WAIT: &std::ffi::CStr = c"200";
const LONG_LOCK_WAIT: &std::ffi::CStr = c"2000";
/// A switch that did not get its locks is tried again, later each time.
const SOON: Duration = Duration::from_secs(2);
const LATE: Duration = Duration::from_secs(60);
/// After the slot was given up, or could not be made.
const PAUSE: Duration = Duration::from_secs(600);
const AGAIN: Duration = Duration::from_secs(20);
/// Words of changes, and transactions, that are written at once.
const MUCH: usize = 1 << 20;
const MANY: usize = 2000;
/// WAL without changes of ours that is not told of at once: telling writes WAL, too.
const QUIET: u64 = 1 << 20;
const QUIET_TIME: Duration = Duration::from_secs(5);

#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_tviews_reader(argument: pg_sys::Datum) {
    // SAFETY: the process has just begun; the launcher passes the oid of a database.
    unsafe { background::begin(argument) };
    // Before the slot moves on, logs are on disk; standbys are not waited for.
    background::set(c"synchronous_commit", c"local");
    if !background::is_alone(0x7411) {
        return;
    }
    if let Some(place) = own_place() {
        // SAFETY: a plain global.
        place.set_reader(unsafe { pg_sys::MyProcPid });
        if place.is_kept_off() {
            return place.set_reader(0);
        }
    }
    plugin::begin_use();
    let now = Instant::now();
    Worker { reader: None, confirmed: 0, told_at: now, tries: HashMap::new(), not_before: None, told: BTreeSet::new() }
        .work();
}

/// A look at the catalog.
#[derive(Default)]
struct Look {
    installed: bool,
    /// Whether something is logged at all.
    any: bool,
    spans: Vec<Span>,
    confirmed: Option<u64>,
    /// Relations that could be captured from WAL, and are to be.
    wanted: Vec<pg_sys::Oid>,
    /// Relations that are captured from WAL, and are not to be any more, with the reason.
    unwanted: Vec<(pg_sys::Oid, String)>,
    /// Relations that are to be captured from WAL, and cannot.
    unfit: Vec<(pg_sys::Oid, String)>,
    /// Relations with triggers that nobody needs.
    unsettled: Vec<pg_sys::Oid>,
    /// Relations that are gone.
    gone: Vec<pg_sys::Oid>,
}

impl Look {
    fn now() -> Look {
        let mut look = Look { installed: catalog::installed() && wal::is_known(), ..Look::default() };
        if !look.installed {
            return look;
        }
        let mode = guc::CDC_MODE.get();
        look.confirmed = wal::confirmed();
        look.spans = wal::all();
        let logs = logs::all();
        look.any = !logs.is_empty();
        let spans: HashMap<pg_sys::Oid, Span> = look.spans.iter().map(|span| (span.source, *span)).collect();
        look.gone = spans.keys().copied().filter(|source| class_of(*source).is_none()).collect();
        let (by_table, needing) = (fit::by_table(), install::needing());
        for source in logs.iter().map(|log| log.source).filter(|source| class_of(*source).is_some()) {
            let span = spans.get(&source);
            let unfit = fit::unfit_among(source, &by_table);
            match (span, unfit) {
                (None, None) if mode != CdcMode::Trigger => look.wanted.push(source),
                (None, Some(unfit)) if mode == CdcMode::Wal && unfit != fit::Unfit::Kind => {
                    look.unfit.push((source, unfit.why()));
                }
                (Some(span), _) if span.ends.is_some() => {}
                (Some(_), _) if mode == CdcMode::Trigger => {
                    look.unwanted.push((source, "pg_tviews.cdc_mode is trigger".into()));
                }
                (Some(_), Some(unfit)) => look.unwanted.push((source, unfit.why())),
                (Some(_), None) if !switch::is_settled(source, &needing) => look.unsettled.push(source),
                _ => {}
            }
        }
        look
    }

    /// Whether nothing is to be captured from WAL, nor has been.
    fn is_over(&self) -> bool {
        let idle = guc::CDC_MODE.get() == CdcMode::Trigger || !self.any || !slot::is_wal_logical();
        !self.installed || self.spans.is_empty() && idle
    }

    /// Why changes may be missing; None: the slot has all of them.
    fn lost(&self) -> Option<&'static str> {
        match slot::find() {
            _ if self.spans.is_empty() => None,
            None => Some("the slot is gone"),
            Some(slot) if !slot.is_ours => Some("the slot is another one"),
            Some(slot) if slot.is_lost => Some("the slot was invalidated"),
            Some(slot) if self.confirmed.is_none_or(|ours| slot.confirmed > ours) => {
                Some("the slot was advanced by others")
            }
            Some(_) => None,
        }
    }
}

struct Worker {
    reader: Option<Reader>,
    /// What the slot has been told last, and when.
    confirmed: u64,
    told_at: Instant,
    /// When a switch of a relation is tried again, and how long was waited.
    tries: HashMap<u32, (Instant, Duration)>,
    /// No slot is made before.
    not_before: Option<Instant>,
    /// Relations that do not fit, which the log has been told of.
    told: BTreeSet<u32>,
}

impl Worker {
    fn work(mut self) {
        loop {
            match background::transaction(Look::now) {
                Ok(look) if look.is_over() => {
                    self.drop_slot();
                    if is_left() {
                        return;
                    }
                }
                Ok(look) => self.see(&look),
                Err(message) => pgrx::log!("relations to be captured from WAL could not be looked up: {message}"),
            }
            let looked = Instant::now();
            while looked.elapsed() < LOOK {
                self.read();
                wait();
            }
        }
    }

    fn see(&mut self, look: &Look) {
        plugin::with(|sink| sink.sources = look.spans.iter().map(|span| span.source.to_u32()).collect());
        self.tell(look);
        if let Some(why) = look.lost() {
            return self.give_up(look, why);
        }
        if Worker::is_too_much() {
            self.not_before = Some(Instant::now() + PAUSE);
            self.drop_slot();
            return self.give_up(look, "the slot kept more than pg_tviews.max_slot_retained");
        }
        if look.spans.is_empty() && look.wanted.is_empty() {
            return self.drop_slot();
        }
        if self.reader.is_none() && !self.open(look) {
            return;
        }
        self.read();
        self.finish(look);
        for (source, why) in &look.unwanted {
            self.switch(*source, LONG_LOCK_WAIT, |source| {
                or_raise(switch::to_triggers(source));
                switch::alert(Some(source), &format!("captured by triggers again: {why}"));
            });
        }
        for source in &look.wanted {
            self.switch(*source, LOCK_WAIT, |source| {
                if or_raise(switch::to_wal(source)) {
                    plugin::with(|sink| sink.sources.insert(source.to_u32()));
                    switch::alert(Some(source), "captured from WAL");
                }
            });
        }
        for source in &look.unsettled {
            self.switch(*source, LOCK_WAIT, switch::settle);
        }
    }

    /// Has the slot, or makes it; false: not now.
    fn open(&mut self, look: &Look) -> bool {
        let Some(found) = slot::find() else {
            let may = self.not_before.is_none_or(|at| at <= Instant::now()) && fit::server().is_none();
            if may && !self.made(background::transaction(|| or_raise(slot::create()))) {
                self.not_before = Some(Instant::now() + AGAIN);
            }
            // The next look finds it.
            return false;
        };
        if !found.is_ours || found.is_lost {
            // Only without relations that need it.
            if found.is_ours {
                self.drop_slot();
            }
            return false;
        }
        let from = match look.confirmed.filter(|_| !look.spans.is_empty()) {
            Some(confirmed) => confirmed,
            None => {
                // What is read from here on has nothing of what was captured before.
                if let Some(place) = own_place() {
                    place.begin_anew();
                }
                let noted = background::transaction(|| or_raise(wal::confirm(found.confirmed)));
                if !self.made(noted) {
                    return false;
                }
                found.confirmed
            }
        };
        self.confirmed = from;
        // SAFETY: in a transaction.
        match background::transaction(|| unsafe { Reader::open(from) }) {
            Ok(reader) => self.reader = Some(reader),
            Err(message) => {
                self.made(Err::<(), _>(message));
            }
        }
        self.reader.is_some()
    }

    fn made<T>(&self, done: Result<T, String>) -> bool {
        if let Err(message) = &done {
            slot::release();
            pgrx::log!("the slot for capture from WAL cannot be used: {message}");
        }
        done.is_ok()
    }

    /// Reads what is in WAL by now.
    fn read(&mut self) {
        let Some(reader) = &mut self.reader else { return };
        let upto = reader::flushed();
        let begun = Instant::now();
        loop {
            let more = reader.step(upto);
            let (size, transactions) = plugin::with(|sink| (sink.store.size(), sink.store.transactions.len()));
            if size >= MUCH || transactions >= MANY || !more {
                let position = reader.position();
                let is_quiet = position < self.confirmed + QUIET || self.told_at.elapsed() < QUIET_TIME;
                if transactions > 0 || !is_quiet {
                    let written = background::transaction(|| {
                        plugin::with(|sink| or_raise(apply::write(&mut sink.store, &sink.shapes, position)));
                    });
                    if let Err(message) = written {
                        // The next process reads it again.
                        pgrx::error!("changes from WAL could not be written: {message}");
                    }
                    plugin::with(|sink| sink.store.clear());
                    if position > self.confirmed {
                        reader.confirm(position);
                        self.confirmed = position;
                    }
                    self.told_at = Instant::now();
                }
                publish(position);
                if !more || begun.elapsed() > LOOK {
                    return;
                }
            }
            background::interrupts();
        }
    }

    /// Relations that triggers have again, and of which nothing is left in WAL.
    fn finish(&mut self, look: &Look) {
        let Some(position) = self.reader.as_ref().map(Reader::position) else { return };
        let over = look.spans.iter().filter(|s| s.ends.is_some_and(|ends| ends <= position)).map(|span| span.source);
        let done: Vec<_> = over.chain(look.gone.iter().copied()).collect();
        if done.is_empty() {
            return;
        }
        let result = background::transaction(|| done.iter().copied().for_each(wal::remove));
        if let Err(message) = result {
            pgrx::log!("the end of a capture from WAL could not be noted: {message}");
        }
    }

    fn is_too_much() -> bool {
        let most = guc::MAX_SLOT_RETAINED.get() as u64 * 1024 * 1024;
        most > 0 && slot::find().is_some_and(|slot| slot::retained(&slot) > most)
    }

    /// Leaves all relations to triggers; those that cannot be locked now, when the next look finds the slot gone.
    fn give_up(&mut self, look: &Look, why: &str) {
        self.close();
        for span in &look.spans {
            let done = in_time(LONG_LOCK_WAIT, || {
                or_raise(switch::give_up(span.source));
                switch::alert(Some(span.source), &format!("captured by triggers again, and computed anew: {why}"));
            });
            if let Err(message) = done {
                pgrx::log!("a table could not be given triggers again: {message}");
            }
        }
        let over = background::transaction(|| {
            let is_over = wal::all().is_empty();
            if is_over {
                wal::forget_slot();
            }
            is_over
        });
        if over == Ok(true) {
            self.drop_slot();
        }
    }

    /// A switch in a transaction of its own, unless it was tried a while ago.
    fn switch(&mut self, source: pg_sys::Oid, wait: &std::ffi::CStr, f: impl FnOnce(pg_sys::Oid)) {
        let known = self.tries.get(&source.to_u32()).copied();
        if known.is_some_and(|(at, _)| at > Instant::now()) {
            return;
        }
        match in_time(wait, || f(source)) {
            Ok(()) => {
                self.tries.remove(&source.to_u32());
            }
            Err(message) => {
                let pause = known.map_or(SOON, |(_, pause)| (pause * 2).min(LATE));
                self.tries.insert(source.to_u32(), (Instant::now() + pause, pause));
                pgrx::debug1!("capture of a table could not be switched: {message}");
            }
        }
        self.read();
    }

    /// Says which tables are left to triggers although the setting wants WAL.
    fn tell(&mut self, look: &Look) {
        let new: Vec<_> = look.unfit.iter().filter(|(source, _)| !self.told.contains(&source.to_u32())).collect();
        self.told = look.unfit.iter().map(|(source, _)| source.to_u32()).collect();
        if new.is_empty() {
            return;
        }
        let told = background::transaction(|| {
            for (source, why) in &new {
                switch::alert(Some(*source), &format!("captured by triggers: {why}"));
            }
        });
        if let Err(message) = told {
            pgrx::log!("listeners could not be told: {message}");
        }
    }

    fn close(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.close();
            plugin::with(|sink| sink.store.clear());
        }
    }

    fn drop_slot(&mut self) {
        self.close();
        if slot::find().is_some_and(|slot| slot.is_ours) {
            self.made(background::transaction(slot::drop));
        }
    }
}

/// A transaction that does not wait longer for a lock.
fn in_time<T>(wait: &std::ffi::CStr, f: impl FnOnce() -> T) -> Result<T, String> {
    background::set(c"lock_timeout", wait);
    let result = background::transaction(f);
    background::set(c"lock_timeout", c"0");
    result
}

fn own_place() -> Option<&'static Place> {
    // SAFETY: a plain global.
    board::of(unsafe { pg_sys::MyDatabaseId }.to_u32())
}

fn publish(position: u64) {
    if let Some(place) = own_place() {
        place.set_logged(place.logged().max(position));
    }
}

/// Whether nothing is to be done, when the database has been taken off the board.
fn is_left() -> bool {
    // SAFETY: plain globals.
    let (database, pid) = unsafe { (pg_sys::MyDatabaseId.to_u32(), pg_sys::MyProcPid) };
    let Some(place) = own_place() else { return true };
    place.free(board::WAL);
    // A session that has made something to be captured may have found the database on the board.
    let is_over = background::transaction(|| Look::now().is_over()).unwrap_or(false);
    if !is_over {
        board::want_of(database, board::WAL);
        if let Some(place) = own_place() {
            place.set_reader(pid);
        }
    }
    is_over
}

/// Until somebody waits for the logs, or the nap of the setting is over.
fn wait() {
    let nap = i64::from(guc::WORKER_NAPTIME.get()).min(LOOK.as_millis() as i64);
    background::wait(nap);
}
