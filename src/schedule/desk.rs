//! What the scheduler of a database and its workers say to each other: in shared memory, a desk for each worker.
//!
//! ```text
//! free ──take──► ASKED ──begin──► AT_WORK ──end──► DONE, FAILED ──collect──► IDLE ──ask──► ASKED …
//!                                                                             └──leave──► LEFT
//! ```
//! Invariant: a desk is that of one scheduler and one worker, until both have let go of it. Its number, which no earlier use of it had, is what the
//! worker is started with: one that starts late, when its scheduler has ended, finds another number and ends. A worker that ends leaves the
//! state as it is, so the scheduler sees whether it was at work.

use crate::pg::process::process;
use crate::pg::shmem;
use pgrx::{pg_guard, pg_sys};
use std::cell::Cell;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::SeqCst};

/// Zeroes are a free desk.
#[repr(C)]
pub struct Desk {
    /// 0: free.
    database: AtomicU32,
    /// Process of the scheduler, or 0: it has let go.
    scheduler: AtomicI32,
    /// Process of the worker, or 0: not started, or ended.
    worker: AtomicI32,
    number: AtomicU32,
    state: AtomicU32,
    tview: AtomicU32,
}

pub const IDLE: u32 = 0;
pub const ASKED: u32 = 1;
pub const AT_WORK: u32 = 2;
pub const DONE: u32 = 3;
pub const FAILED: u32 = 4;
pub const LEFT: u32 = 5;

const DESKS: usize = shmem::HALF / size_of::<Desk>();

/// All desks; none when the library is not preloaded.
fn desks() -> &'static [Desk] {
    // SAFETY: the second half of the head has this size, is zeroed, and lives as long as the process; all fields are atomic.
    shmem::head().map_or(&[], |head| unsafe { &*head.add(shmem::HALF).cast::<[Desk; DESKS]>() })
}

/// Desks of a database.
pub fn of(database: u32) -> impl Iterator<Item = &'static Desk> {
    desks().iter().filter(move |desk| database != 0 && desk.database.load(SeqCst) == database)
}

/// A desk for a new worker of this session's database, which is asked for a TVIEW; with its place and number, for the worker.
pub fn take(tview: u32) -> Option<(&'static Desk, String)> {
    // SAFETY: plain globals.
    let (database, pid) = unsafe { (pg_sys::MyDatabaseId.to_u32(), pg_sys::MyProcPid) };
    shmem::alone(|| {
        let (place, desk) = desks().iter().enumerate().find(|(_, desk)| desk.database.load(SeqCst) == 0)?;
        let number = desk.number.fetch_add(1, SeqCst).wrapping_add(1);
        desk.worker.store(0, SeqCst);
        desk.scheduler.store(pid, SeqCst);
        desk.tview.store(tview, SeqCst);
        desk.state.store(ASKED, SeqCst);
        desk.database.store(database, SeqCst);
        Some((desk, format!("{place} {number}")))
    })
}

/// The desk that a new worker was started for, which is its own from here on; None: nobody waits for it any more.
pub fn sit(place: &str) -> Option<&'static Desk> {
    let (place, number) = place.split_once(' ')?;
    let (place, number): (usize, u32) = (place.parse().ok()?, number.parse().ok()?);
    let desk = desks().get(place)?;
    // SAFETY: a plain global.
    let pid = unsafe { pg_sys::MyProcPid };
    let is_wanted = || desk.number.load(SeqCst) == number && desk.scheduler.load(SeqCst) != 0;
    shmem::alone(|| is_wanted().then(|| desk.worker.store(pid, SeqCst)))?;
    OWN.set(Some(desk));
    // SAFETY: the function may be called while the process ends.
    unsafe { pg_sys::before_shmem_exit(Some(rise), pg_sys::Datum::from(0usize)) };
    Some(desk)
}

process! {
    /// The desk of this worker.
    static OWN: Cell<Option<&'static Desk>> = const { Cell::new(None) };
}

/// The worker ends.
#[pg_guard]
unsafe extern "C-unwind" fn rise(_code: i32, _argument: pg_sys::Datum) {
    if let Some(desk) = OWN.take() {
        shmem::alone(|| {
            desk.worker.store(0, SeqCst);
            if desk.scheduler.load(SeqCst) == 0 {
                desk.database.store(0, SeqCst);
            }
        });
    }
}

/// Has the desks of this scheduler let go of when it ends.
pub fn let_go_at_end() {
    // SAFETY: the function may be called while the process ends.
    unsafe { pg_sys::before_shmem_exit(Some(end), pg_sys::Datum::from(0usize)) };
}

/// The scheduler ends: its workers finish what they are doing.
#[pg_guard]
unsafe extern "C-unwind" fn end(_code: i32, _argument: pg_sys::Datum) {
    // SAFETY: a plain global.
    let pid = unsafe { pg_sys::MyProcPid };
    desks().iter().filter(|desk| desk.scheduler() == pid).for_each(Desk::let_go);
}

impl Desk {
    pub fn scheduler(&self) -> i32 {
        self.scheduler.load(SeqCst)
    }

    pub fn worker(&self) -> i32 {
        self.worker.load(SeqCst)
    }

    pub fn state(&self) -> u32 {
        self.state.load(SeqCst)
    }

    /// The TVIEW that the worker was asked for last.
    pub fn tview(&self) -> pg_sys::Oid {
        pg_sys::Oid::from(self.tview.load(SeqCst))
    }

    /// From one state to another; false when it is in neither of the two.
    pub fn go(&self, from: u32, to: u32) -> bool {
        self.state.compare_exchange(from, to, SeqCst, SeqCst).is_ok()
    }

    /// By the scheduler: what an idle worker is to do next; false when it has left.
    pub fn ask(&self, tview: u32) -> bool {
        // Only the scheduler asks, so nobody looks at the TVIEW yet.
        self.tview.store(tview, SeqCst);
        self.go(IDLE, ASKED)
    }

    /// By the scheduler: nothing more comes from it. The desk is free when its worker has ended, or has not begun.
    pub fn let_go(&self) {
        shmem::alone(|| {
            self.scheduler.store(0, SeqCst);
            if self.worker.load(SeqCst) == 0 {
                self.database.store(0, SeqCst);
            }
        });
    }
}
