//! The change feed of a transaction: which rows of which relation are others than before it, and the messages that say so.
//!
//! Rows are known by the text of their key, contents by a hash. What has happened to a row is the difference between its contents before the
//! transaction and now: a row that came and went has not changed, nor has one with its old contents back.
//! Invariant: what a sub-transaction keeps for a relation is bounded by a number of keys; past it, all that is known is that anything may have
//! changed.
//! Called by the extension's `feed`.

use crate::by_subxact::BySubxact;
use std::collections::{BTreeMap, HashMap};

/// Hash of a row's contents.
pub type Contents = u128;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    Insert,
    Update,
    Delete,
    All,
}

impl Op {
    pub fn as_str(self) -> &'static str {
        match self {
            Op::Insert => "insert",
            Op::Update => "update",
            Op::Delete => "delete",
            Op::All => "all",
        }
    }
}

/// A row before and after; None: it does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    before: Option<Contents>,
    after: Option<Contents>,
    /// What messages call it, before and after.
    labels: [String; 2],
}

/// What has happened to the rows of one relation.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Net {
    Rows(HashMap<String, Row>),
    Anything,
}

impl Net {
    fn record(&mut self, key: &str, label: &str, before: Option<Contents>, after: Option<Contents>, most: usize) {
        let Net::Rows(rows) = self else { return };
        if let Some(row) = rows.get_mut(key) {
            row.after = after;
            if after.is_some() {
                row.labels[1] = label.into();
            }
        } else if rows.len() >= most {
            *self = Net::Anything;
        } else {
            rows.insert(key.into(), Row { before, after, labels: [label.into(), label.into()] });
        }
    }

    /// Adds what has happened later.
    fn extend(&mut self, later: &Net, most: usize) {
        match later {
            Net::Anything => *self = Net::Anything,
            Net::Rows(rows) => {
                for (key, row) in rows {
                    // As two events, since each has a label.
                    if row.before.is_some() {
                        self.record(key, &row.labels[0], row.before, None, most);
                    }
                    if row.before.is_none() || row.after.is_some() {
                        self.record(key, &row.labels[1], None, row.after, most);
                    }
                }
            }
        }
    }
}

impl Default for Net {
    fn default() -> Self {
        Net::Rows(HashMap::new())
    }
}

/// Changes by relation and sub-transaction.
#[derive(Default)]
pub struct Feed {
    held: BySubxact<(u32, Net)>,
}

impl Feed {
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether it is known already that anything may have changed in a relation.
    pub fn is_anything(&self, relid: u32) -> bool {
        self.held.iter().any(|(_, (of, net))| *of == relid && *net == Net::Anything)
    }

    /// A row was written at nesting level `depth`: its contents before and after. No more than `most` keys are kept.
    pub fn record(
        &mut self,
        depth: u32,
        relid: u32,
        (key, label): (&str, &str),
        [before, after]: [Option<Contents>; 2],
        most: usize,
    ) {
        self.change(depth, relid, |net| net.record(key, label, before, after, most));
    }

    /// Anything may have changed in a relation.
    pub fn record_anything(&mut self, depth: u32, relid: u32) {
        self.change(depth, relid, |net| *net = Net::Anything);
    }

    fn change(&mut self, depth: u32, relid: u32, f: impl FnOnce(&mut Net)) {
        let newest = self.held.iter_mut().rev().take_while(|(level, _)| *level == depth);
        if let Some((_, (_, net))) = newest.into_iter().find(|(_, (of, _))| *of == relid) {
            return f(net);
        }
        let mut net = Net::default();
        f(&mut net);
        self.held.push(depth, (relid, net));
    }

    /// The sub-transaction at `depth` has been released into the one below.
    pub fn sub_commit(&mut self, depth: u32) {
        self.held.release(depth);
    }

    /// The sub-transaction at `depth` has been rolled back.
    pub fn sub_abort(&mut self, depth: u32) {
        self.held.abort(depth, drop);
    }

    pub fn clear(&mut self) {
        self.held = BySubxact::new();
    }

    /// For each relation what has happened, with the labels of the rows in order; `Op::All` has none.
    pub fn changes(&self, most: usize) -> BTreeMap<u32, BTreeMap<Op, Vec<String>>> {
        let mut nets: BTreeMap<u32, Net> = BTreeMap::new();
        for (_, (relid, net)) in self.held.iter() {
            nets.entry(*relid).or_default().extend(net, most);
        }
        let mut changes = BTreeMap::new();
        for (relid, net) in nets {
            let mut ops: BTreeMap<Op, Vec<String>> = BTreeMap::new();
            match net {
                Net::Anything => drop(ops.insert(Op::All, Vec::new())),
                Net::Rows(rows) => {
                    for row in rows.into_values() {
                        let [old, new] = row.labels;
                        let mut say = |op: Op, label: String| ops.entry(op).or_default().push(label);
                        match (row.before, row.after) {
                            (None, Some(_)) => say(Op::Insert, new),
                            (Some(_), None) => say(Op::Delete, old),
                            // Whoever knows the row by its old name has to hear of it.
                            (Some(_), Some(_)) if old != new => {
                                say(Op::Delete, old);
                                say(Op::Insert, new);
                            }
                            (Some(before), Some(after)) if before != after => say(Op::Update, new),
                            _ => {}
                        }
                    }
                }
            }
            ops.values_mut().for_each(|labels| labels.sort());
            if !ops.is_empty() {
                changes.insert(relid, ops);
            }
        }
        changes
    }
}

/// The messages about one kind of change: objects with `tview`, `op` and `keys`, each of less than `most` bytes. `name` and the labels are JSON
/// texts. A label that does not fit into a message makes it one about everything.
pub fn messages(name: &str, op: Op, labels: &[String], most: usize) -> Vec<String> {
    let all = || vec![format!("{{\"tview\":{name},\"op\":\"{}\"}}", Op::All.as_str())];
    let begin = format!("{{\"tview\":{name},\"op\":\"{}\",\"keys\":[", op.as_str());
    let room = most.saturating_sub(begin.len() + 3);
    if op == Op::All || labels.iter().any(|l| l.len() > room) {
        return all();
    }
    let mut messages = Vec::new();
    let mut keys = String::new();
    for label in labels {
        if !keys.is_empty() && keys.len() + 1 + label.len() > room {
            messages.push(format!("{begin}{keys}]}}"));
            keys.clear();
        }
        if !keys.is_empty() {
            keys.push(',');
        }
        keys.push_str(label);
    }
    messages.push(format!("{begin}{keys}]}}"));
    messages
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        /// Key and new contents, 0 for none.
        Write(u8, u8),
        Begin,
        Release,
        Abort,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..4u8, 0..3u8).prop_map(|(k, v)| Step::Write(k, v)),
            1 => Just(Step::Begin),
            1 => Just(Step::Release),
            1 => Just(Step::Abort),
        ]
    }

    fn contents(v: u8) -> Option<Contents> {
        (v > 0).then_some(Contents::from(v))
    }

    proptest! {
        /// Against two copies of the table, before and now.
        #[test]
        fn tells_how_the_rows_differ(start in proptest::array::uniform4(0..3u8), steps in proptest::collection::vec(step(), 0..30)) {
            let mut feed = Feed::default();
            let mut states = vec![start];
            for s in steps {
                let depth = states.len() as u32;
                match s {
                    Step::Write(k, v) => {
                        let now = states.last_mut().unwrap();
                        let (before, after) = (contents(now[k as usize]), contents(v));
                        if before != after {
                            feed.record(depth, 1, (&k.to_string(), &format!("l{k}")), [before, after], 100);
                            now[k as usize] = v;
                        }
                    }
                    Step::Begin => states.push(*states.last().unwrap()),
                    Step::Release if depth > 1 => {
                        let top = states.pop().unwrap();
                        *states.last_mut().unwrap() = top;
                        feed.sub_commit(depth);
                    }
                    Step::Abort if depth > 1 => {
                        states.pop();
                        feed.sub_abort(depth);
                    }
                    _ => {}
                }
            }
            let now = states.last().unwrap();
            let mut wanted: BTreeMap<Op, Vec<String>> = BTreeMap::new();
            for k in 0..4 {
                let op = match (start[k], now[k]) {
                    (0, 0) => continue,
                    (0, _) => Op::Insert,
                    (_, 0) => Op::Delete,
                    (a, b) if a != b => Op::Update,
                    _ => continue,
                };
                wanted.entry(op).or_default().push(format!("l{k}"));
            }
            prop_assert_eq!(feed.changes(100).remove(&1).unwrap_or_default(), wanted);
        }

        /// Messages are short enough, and have each label once, in order.
        #[test]
        fn messages_are_split(labels in proptest::collection::vec("[a-z]{1,30}", 1..40), most in 40..200usize) {
            let labels: Vec<String> = labels.into_iter().map(|l| format!("\"{l}\"")).collect();
            let all = messages("\"v\"", Op::Update, &labels, most);
            prop_assert!(all.iter().all(|m| m.len() < most));
            let fits = labels.iter().all(|l| l.len() + "{\"tview\":\"v\",\"op\":\"update\",\"keys\":[".len() + 3 <= most);
            if fits {
                let inner = |m: &String| m["{\"tview\":\"v\",\"op\":\"update\",\"keys\":[".len()..m.len() - 2].to_string();
                let joined: Vec<String> = all.iter().map(inner).collect();
                prop_assert_eq!(joined.join(","), labels.join(","));
            } else {
                prop_assert_eq!(all, vec!["{\"tview\":\"v\",\"op\":\"all\"}".to_string()]);
            }
        }
    }

    #[test]
    fn a_row_with_another_name() {
        let mut feed = Feed::default();
        feed.record(1, 7, ("1", "old"), [Some(1), None], 9);
        feed.record(2, 7, ("1", "new"), [None, Some(2)], 9);
        let both = BTreeMap::from([(Op::Delete, vec!["old".to_string()]), (Op::Insert, vec!["new".to_string()])]);
        assert_eq!(feed.changes(9)[&7], both);
        feed.record(2, 7, ("1", "new"), [Some(2), None], 9);
        assert_eq!(feed.changes(9)[&7], BTreeMap::from([(Op::Delete, vec!["old".to_string()])]));
        feed.sub_abort(2);
        feed.record(1, 7, ("1", "old"), [None, Some(1)], 9);
        assert!(feed.changes(9).is_empty());
    }

    #[test]
    fn past_the_limit_anything_may_have_changed() {
        let mut feed = Feed::default();
        for i in 0..3 {
            let key = i.to_string();
            feed.record(1, 7, (&key, &key), [None, Some(1)], 2);
        }
        assert!(feed.is_anything(7) && !feed.is_anything(8));
        assert_eq!(feed.changes(2)[&7], BTreeMap::from([(Op::All, Vec::new())]));
    }
}
