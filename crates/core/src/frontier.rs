//! How far a deferred TVIEW has followed the log of a table.
//!
//! A row of the log has the number of the transaction that wrote it, and its part: a transaction that writes to the log several times numbers
//! these. A refresh takes one snapshot; it follows the rows that the snapshot sees and the frontier does not have, and then the snapshot is the
//! frontier. Transactions that are long, that commit in another order than they began, or that are prepared, are right by this: whoever was running
//! for one snapshot is followed by a later one.
//!
//! A snapshot says nothing of its own transaction. A refresh sees what its transaction has written before, so the frontier also has the parts of the
//! log that the transaction had written by then; later parts are followed later.
//! Invariant: of each row, `has` is false until one refresh has followed it, and true from then on. Called by the extension's `log`.

use std::fmt;
use std::str::FromStr;

/// The transactions of a snapshot, and how much of its own transaction comes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontier {
    /// Transactions before this one have ended.
    pub xmin: u64,
    /// This one, and later ones, had not ended.
    pub xmax: u64,
    /// Those in between that were running, ascending.
    pub running: Vec<u64>,
    /// The snapshot's own transaction, with the last part of the log that it had written.
    pub own: Option<(u64, i32)>,
}

impl Frontier {
    /// A snapshot's transactions in any order. The own transaction has not ended, whether or not the snapshot lists it.
    pub fn new(xmin: u64, xmax: u64, mut running: Vec<u64>, own: Option<(u64, i32)>) -> Frontier {
        running.extend(own.map(|(xid, _)| xid).filter(|xid| *xid < xmax));
        running.sort_unstable();
        running.dedup();
        let xmin = running.first().map_or(xmin, |first| xmin.min(*first));
        Frontier { xmin, xmax, running, own }
    }

    /// Whether a row that transaction `xid` wrote in `part` was followed.
    pub fn has(&self, xid: u64, part: i32) -> bool {
        if self.own.is_some_and(|(own, last)| own == xid && part <= last) {
            return true;
        }
        xid < self.xmin || xid < self.xmax && self.running.binary_search(&xid).is_err()
    }
}

/// As the server writes a `pg_snapshot`: `xmin:xmax:running,running`.
impl fmt::Display for Frontier {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let running: Vec<String> = self.running.iter().map(u64::to_string).collect();
        write!(f, "{}:{}:{}", self.xmin, self.xmax, running.join(","))
    }
}

/// Text that is no snapshot.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

impl FromStr for Frontier {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Frontier, Malformed> {
        let number = |word: &str| word.parse::<u64>().map_err(|_| Malformed);
        let mut words = text.splitn(3, ':');
        let mut next = || words.next().ok_or(Malformed);
        let (xmin, xmax) = (number(next()?)?, number(next()?)?);
        let running = next()?.split(',').filter(|word| !word.is_empty()).map(number).collect::<Result<_, _>>()?;
        Ok(Frontier::new(xmin, xmax, running, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn own_transaction_by_parts() {
        let of = Frontier::new(10, 20, vec![12], Some((15, 2)));
        assert!(of.has(9, 1) && of.has(13, 1) && !of.has(12, 1) && !of.has(20, 1));
        assert!(of.has(15, 1) && of.has(15, 2) && !of.has(15, 3));
        let later = Frontier::new(10, 20, Vec::new(), Some((25, 1)));
        assert!(later.has(25, 1) && !later.has(25, 2) && !later.has(24, 1));
    }

    #[test]
    fn text() {
        for text in ["3:3:", "10:20:10,12,19"] {
            assert_eq!(text.parse::<Frontier>().map(|f| f.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "3", "3:4", "a:4:", "3:4:x"] {
            assert_eq!(text.parse::<Frontier>(), Err(Malformed));
        }
    }

    #[derive(Clone, Debug)]
    enum Op {
        Begin,
        /// One of the running transactions writes a part.
        Write(usize),
        /// One of them ends: committed or rolled back.
        End(usize, bool),
        /// A refresh in a transaction of its own, or in a running one, which goes on.
        Refresh(Option<usize>),
    }

    fn any_op() -> impl Strategy<Value = Op> {
        let which = 0usize..4;
        prop_oneof![
            2 => Just(Op::Begin),
            4 => which.clone().prop_map(Op::Write),
            3 => (which.clone(), any::<bool>()).prop_map(|(w, c)| Op::End(w, c)),
            3 => prop_oneof![Just(None), which.prop_map(Some)].prop_map(Op::Refresh),
        ]
    }

    /// A transaction of the model: its number, the parts written, the frontier that its refresh has left and the rows that it followed.
    struct Running {
        xid: u64,
        parts: i32,
        refreshed: Option<(Frontier, Vec<(u64, i32)>)>,
    }

    proptest! {
        /// Each row of a committed transaction is followed once.
        #[test]
        fn each_row_once(ops in proptest::collection::vec(any_op(), 0..80)) {
            let mut next = 10u64;
            let mut running: Vec<Running> = Vec::new();
            let mut committed: Vec<(u64, i32)> = Vec::new();
            let mut frontier = Frontier::new(10, 10, Vec::new(), None);
            let mut followed: Vec<(u64, i32)> = Vec::new();
            let mut ops = ops;
            ops.extend((0..80).map(|_| Op::End(0, true)));
            ops.push(Op::Refresh(None));
            for op in ops {
                match op {
                    Op::Begin => {
                        running.push(Running { xid: next, parts: 0, refreshed: None });
                        next += 1;
                    }
                    Op::Write(w) if !running.is_empty() => {
                        let at = w % running.len();
                        running[at].parts += 1;
                    }
                    Op::End(w, commits) if !running.is_empty() => {
                        let at = w % running.len();
                        let ended = running.remove(at);
                        if commits {
                            committed.extend((1..=ended.parts).map(|part| (ended.xid, part)));
                            if let Some((reached, rows)) = ended.refreshed {
                                frontier = reached;
                                followed.extend(rows);
                            }
                        }
                    }
                    Op::Refresh(by) => {
                        // Refreshes of a TVIEW exclude each other until the transaction ends.
                        let by = by.filter(|_| !running.is_empty()).map(|b| b % running.len());
                        if running.iter().enumerate().any(|(i, r)| r.refreshed.is_some() && Some(i) != by) {
                            continue;
                        }
                        let own = by.map(|b| (running[b].xid, running[b].parts));
                        let others = running.iter().map(|r| r.xid).filter(|x| Some(*x) != own.map(|o| o.0)).collect();
                        let xmin = running.iter().map(|r| r.xid).min().unwrap_or(next);
                        let reached = Frontier::new(xmin, next, others, own);
                        let known = by.and_then(|b| running[b].refreshed.take());
                        let (from, mut rows) = known.unwrap_or((frontier.clone(), Vec::new()));
                        let mut seen = committed.clone();
                        seen.extend(own.into_iter().flat_map(|(xid, parts)| (1..=parts).map(move |part| (xid, part))));
                        rows.extend(seen.into_iter().filter(|(xid, part)| !from.has(*xid, *part)));
                        match by {
                            Some(b) => running[b].refreshed = Some((reached, rows)),
                            None => {
                                frontier = reached;
                                followed.extend(rows);
                            }
                        }
                    }
                    _ => {}
                }
            }
            followed.sort_unstable();
            committed.sort_unstable();
            prop_assert_eq!(followed, committed);
        }
    }
}
