//! Starting the workers of databases that are on the board: that which refreshes by schedule, and that which reads WAL. Called by the launcher, which
//! lives as long as the server.

use crate::log::board::{self, Place};
use crate::wal::slot;
use pgrx::bgworkers::{BackgroundWorkerBuilder, DynamicBackgroundWorker};
use pgrx::{IntoDatum, pg_sys};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How often the launcher looks at the board.
pub const NAP: Duration = Duration::from_secs(1);
/// A worker that has ended is not started again at once.
const PAUSE: Duration = Duration::from_secs(5);

/// One kind of workers.
struct Kind {
    /// By `Place::wants`.
    what: u32,
    name: &'static str,
    function: &'static str,
    pid: fn(&Place) -> i32,
    set_pid: fn(&Place, i32),
}

const KINDS: [Kind; 2] = [
    Kind {
        what: board::SCHEDULE,
        name: "pg_tviews scheduler",
        function: "pg_tviews_scheduler",
        pid: Place::pid,
        set_pid: Place::set_pid,
    },
    Kind {
        what: board::WAL,
        name: "pg_tviews reader",
        function: "pg_tviews_reader",
        pid: Place::reader,
        set_pid: Place::set_reader,
    },
];

/// Workers by database and kind.
#[derive(Default)]
pub struct Launches {
    running: HashMap<(u32, u32), DynamicBackgroundWorker>,
    ended: HashMap<(u32, u32), Instant>,
}

impl Launches {
    /// Starts workers where they are missing; notes which have ended.
    pub fn look(&mut self) {
        let ended: Vec<(u32, u32)> = self.running.iter().filter(|(_, w)| has_ended(w)).map(|(key, _)| *key).collect();
        for key in ended {
            self.running.remove(&key);
            self.ended.insert(key, Instant::now());
            if let Some((place, kind)) = board::of(key.0).zip(KINDS.iter().find(|kind| kind.what == key.1)) {
                (kind.set_pid)(place, 0);
            }
        }
        self.ended.retain(|_, at| at.elapsed() < PAUSE);
        for (place, kind) in board::places().into_iter().flatten().flat_map(|p| KINDS.iter().map(move |k| (p, k))) {
            let key = (place.database(), kind.what);
            if key.0 != 0
                && place.wants(kind.what)
                && !self.running.contains_key(&key)
                && !self.ended.contains_key(&key)
                && may(place, kind)
            {
                // Without a free slot for a process, the next look tries again.
                match start(key.0, kind) {
                    Ok(worker) => {
                        self.running.insert(key, worker);
                    }
                    Err(()) if kind.what == board::WAL => slot::limit(key.0),
                    Err(()) => {}
                }
            }
        }
    }
}

fn may(place: &Place, kind: &Kind) -> bool {
    (kind.pid)(place) == 0 && !place.is_kept_off()
}

fn has_ended(worker: &DynamicBackgroundWorker) -> bool {
    use pgrx::bgworkers::BackgroundWorkerStatus::{PostmasterDied, Stopped};
    matches!(worker.pid(), Err(Stopped | PostmasterDied))
}

fn start(database: u32, kind: &Kind) -> Result<DynamicBackgroundWorker, ()> {
    // SAFETY: a plain global.
    let own = unsafe { pg_sys::MyProcPid };
    BackgroundWorkerBuilder::new(kind.name)
        .set_type(kind.name)
        .set_library("pg_tviews")
        .set_function(kind.function)
        .set_argument(pg_sys::Oid::from(database).into_datum())
        .enable_spi_access()
        .set_restart_time(None)
        .set_notify_pid(own)
        .load_dynamic()
        .map_err(|_| ())
}
