//! Starting the workers of databases that are on the board. Called by the launcher, which lives as long as the server.

use crate::log::board::{self, Place};
use pgrx::bgworkers::{BackgroundWorkerBuilder, DynamicBackgroundWorker};
use pgrx::{IntoDatum, pg_sys};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How often the launcher looks at the board.
pub const NAP: Duration = Duration::from_secs(1);
/// A worker that has ended is not started again at once.
const PAUSE: Duration = Duration::from_secs(5);

#[derive(Default)]
pub struct Launches {
    running: HashMap<u32, DynamicBackgroundWorker>,
    ended: HashMap<u32, Instant>,
}

impl Launches {
    /// Starts workers where they are missing; notes which have ended.
    pub fn look(&mut self) {
        let ended: Vec<u32> = self.running.iter().filter(|(_, w)| has_ended(w)).map(|(d, _)| *d).collect();
        for database in ended {
            self.running.remove(&database);
            self.ended.insert(database, Instant::now());
            if let Some(place) = board::of(database) {
                place.set_pid(0);
            }
        }
        self.ended.retain(|_, at| at.elapsed() < PAUSE);
        for place in board::places().into_iter().flatten() {
            let database = place.database();
            if database != 0
                && !self.running.contains_key(&database)
                && !self.ended.contains_key(&database)
                && may(place)
            {
                // Without a free slot for a process, the next look tries again.
                if let Ok(worker) = start(database) {
                    self.running.insert(database, worker);
                }
            }
        }
    }
}

fn may(place: &Place) -> bool {
    // SAFETY: plain getter.
    place.pid() == 0 && place.not_before() <= unsafe { pg_sys::GetCurrentTimestamp() }
}

fn has_ended(worker: &DynamicBackgroundWorker) -> bool {
    use pgrx::bgworkers::BackgroundWorkerStatus::{PostmasterDied, Stopped};
    matches!(worker.pid(), Err(Stopped | PostmasterDied))
}

fn start(database: u32) -> Result<DynamicBackgroundWorker, ()> {
    // SAFETY: a plain global.
    let own = unsafe { pg_sys::MyProcPid };
    BackgroundWorkerBuilder::new("pg_tviews scheduler")
        .set_type("pg_tviews scheduler")
        .set_library("pg_tviews")
        .set_function("pg_tviews_scheduler")
        .set_argument(pg_sys::Oid::from(database).into_datum())
        .enable_spi_access()
        .set_restart_time(None)
        .set_notify_pid(own)
        .load_dynamic()
        .map_err(|_| ())
}
