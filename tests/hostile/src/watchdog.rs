//! Ends a backend that cannot be interrupted, so that the run goes on and names the statement.
//! Invariant: only the backend of the run that is watched, and only when it has had its time. Called by `run`.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longer than the patience of a session, which a backend that can be interrupted obeys.
const LIMIT: Duration = Duration::from_secs(25);

type Watched = Arc<Mutex<Option<(Instant, i32, String)>>>;

pub struct Watchdog(Watched);

impl Watchdog {
    /// Only for servers of this machine.
    pub fn start() -> Watchdog {
        let watched: Watched = Arc::default();
        let mine = watched.clone();
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(Duration::from_secs(1));
                let Ok(mut watched) = mine.lock() else { return };
                if let Some((_, pid, what)) = watched.take_if(|(since, _, _)| since.elapsed() > LIMIT) {
                    println!("# {what} cannot be interrupted: ending process {pid}");
                    let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
                }
            }
        });
        Watchdog(watched)
    }

    pub fn watch(&self, pid: i32, what: String) {
        self.set(Some((Instant::now(), pid, what)));
    }

    pub fn rest(&self) {
        self.set(None);
    }

    fn set(&self, to: Option<(Instant, i32, String)>) {
        if let Ok(mut watched) = self.0.lock() {
            *watched = to;
        }
    }
}
