//! What the flushes of TVIEWs did and where their time went, for EXPLAIN ANALYZE and `tviews.explain`.
//!
//! Collected only while somebody asks: otherwise nothing is kept, and no clock is read. Invariant: of TVIEWs that the user may not read there is only the
//! time that all of them took, which a writer knows anyway: counts, and that a TVIEW had to follow another one, say something about contents.
//! Written by watched.rs and by who writes rows (follow/apply.rs); asked for by monitor and hook.

use crate::counters::Counters;
use crate::counters::watched::How;
use crate::pg::name;
use crate::pg::process::process;
use pgrx::pg_sys;
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

process! {
    /// None: nobody asks.
    static TRACED: RefCell<Option<Trace>> = const { RefCell::new(None) };
    static WRITING: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// One TVIEW, or one stage of one, in a flush.
pub struct Traced {
    pub tview: String,
    pub stage: Option<String>,
    pub counters: Counters,
    pub how: How,
    writing: Duration,
}

/// All TVIEWs of some flushes, in order.
#[derive(Default)]
pub struct Trace {
    pub shown: Vec<Traced>,
    /// Milliseconds that those took which the user may not read; None: there were none.
    pub hidden: Option<f64>,
}

/// Milliseconds of the parts of a flush.
pub struct Times {
    pub total: f64,
    /// For locks of other flushes.
    pub waiting: f64,
    /// Finding and computing rows, with all that is not one of the others.
    pub computing: f64,
    pub writing: f64,
}

pub fn on() -> bool {
    TRACED.with_borrow(Option::is_some)
}

/// Gives back what was collected before, also when an error unwinds.
struct Asking(Option<Trace>);

impl Drop for Asking {
    fn drop(&mut self) {
        TRACED.replace(self.0.take());
    }
}

/// Runs `f`, and gives what was flushed meanwhile.
pub fn during(f: impl FnOnce()) -> Trace {
    let _before = Asking(TRACED.replace(Some(Trace::default())));
    f();
    TRACED.take().unwrap_or_default()
}

/// A TVIEW's flush begins.
pub fn begin() {
    WRITING.set(Duration::ZERO);
}

/// A TVIEW's flush has ended.
pub fn add(tview: pg_sys::Oid, counters: Counters, how: How) {
    if !on() {
        return;
    }
    let shown = |oid| name::relation(oid).unwrap_or_default();
    let stage = (how.relation != tview).then(|| shown(how.relation));
    let traced = Traced { tview: shown(tview), stage, counters, how, writing: WRITING.get() };
    TRACED.with_borrow_mut(|all| {
        let all = all.get_or_insert_default();
        match traced.how.hidden {
            true => *all.hidden.get_or_insert_default() += traced.times().total,
            false => all.shown.push(traced),
        }
    });
}

/// The time of writing rows, to be given to `wrote`; None when nobody asks.
pub fn start() -> Option<Instant> {
    on().then(Instant::now)
}

pub fn wrote(since: Option<Instant>) {
    if let Some(since) = since {
        WRITING.set(WRITING.get() + since.elapsed());
    }
}

impl Trace {
    pub fn is_empty(&self) -> bool {
        self.shown.is_empty() && self.hidden.is_none()
    }

    pub fn lines(&self, timing: bool) -> Vec<String> {
        let hidden = self.hidden.map(|total| match timing {
            true => format!("Flush of TVIEWs that may not be read: time={total:.3}"),
            false => "Flush of TVIEWs that may not be read".into(),
        });
        self.shown.iter().flat_map(|traced| traced.lines(timing)).chain(hidden).collect()
    }
}

impl Traced {
    pub fn times(&self) -> Times {
        let milliseconds = |nanoseconds: u64| nanoseconds as f64 / 1e6;
        let (total, waiting) =
            (milliseconds(self.counters.flush_nanoseconds), milliseconds(self.counters.lock_wait_nanoseconds));
        let writing = self.writing.as_secs_f64() * 1e3;
        Times { total, waiting, writing, computing: (total - waiting - writing).max(0.0) }
    }

    /// As text, one line and lines below it.
    fn lines(&self, timing: bool) -> Vec<String> {
        let times = self.times();
        let stage = self.stage.iter().map(|stage| format!(", stage {stage}"));
        let mut head = format!("Flush of TVIEW {}{}", self.tview, String::from_iter(stage));
        if timing {
            head.push_str(&format!(": time={:.3}", times.total));
        }
        let mut lines = vec![head];
        let c = &self.counters;
        lines.push(format!("  Strategy: {}", self.how));
        lines.push(format!("  Changes: rows={} keys={}", c.changed_rows, c.dirty_keys));
        lines.push(format!(
            "  Rows: inserted={} updated={} deleted={} unchanged={}",
            c.rows_inserted, c.rows_updated, c.rows_deleted, c.rows_unchanged
        ));
        if timing {
            let Times { waiting, computing, writing, .. } = times;
            lines.push(format!("  Time: waiting={waiting:.3} computing={computing:.3} writing={writing:.3}"));
        }
        lines
    }
}
