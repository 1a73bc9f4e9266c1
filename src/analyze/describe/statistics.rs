//! Variance, covariance, correlation and regression of floating-point numbers: by which states groups with these are folded.
//!
//! The query computes the states by aggregates of the server that give single sums: `sum`, `regr_sxx`, `regr_syy`, `regr_sxy`; of one column, `stddev(x)` has the
//! sums of the pairs (x, x). Invariant: they come in the order that `fold::Spread` says, behind the state with the number of values. How they change, and what the results
//! are, is in `tviews_core::spread`. `regr_count` is a number of rows, which is exact. Called by recognise.

use crate::analyze::describe::fold::{Aggregate, Spread, State, StateKind};
use crate::analyze::describe::recognise::{Input, Recogniser};
use crate::analyze::query::tree::type_of;
use crate::pg::tree::{Aggref, Node, Tree, list, make, server};
use pgrx::pg_sys;
use tviews_core::reason::Reason;
use tviews_core::spread::Statistic;

#[derive(Clone, Copy)]
pub enum Of {
    /// Of one column.
    Values(Statistic),
    Pairs(Statistic),
    /// The number of pairs.
    Count,
}

pub fn of(aggregate: pg_sys::Oid) -> Option<Of> {
    use Statistic::*;
    Some(match aggregate.to_u32() {
        pg_sys::F_VAR_POP_FLOAT4 | pg_sys::F_VAR_POP_FLOAT8 => Of::Values(VarPop),
        pg_sys::F_VAR_SAMP_FLOAT4 | pg_sys::F_VAR_SAMP_FLOAT8 => Of::Values(VarSamp),
        pg_sys::F_VARIANCE_FLOAT4 | pg_sys::F_VARIANCE_FLOAT8 => Of::Values(VarSamp),
        pg_sys::F_STDDEV_POP_FLOAT4 | pg_sys::F_STDDEV_POP_FLOAT8 => Of::Values(StddevPop),
        pg_sys::F_STDDEV_SAMP_FLOAT4 | pg_sys::F_STDDEV_SAMP_FLOAT8 => Of::Values(StddevSamp),
        pg_sys::F_STDDEV_FLOAT4 | pg_sys::F_STDDEV_FLOAT8 => Of::Values(StddevSamp),
        pg_sys::F_REGR_COUNT => Of::Count,
        pg_sys::F_REGR_AVGX => Of::Pairs(AvgX),
        pg_sys::F_REGR_AVGY => Of::Pairs(AvgY),
        pg_sys::F_REGR_SXX => Of::Pairs(Sxx),
        pg_sys::F_REGR_SYY => Of::Pairs(Syy),
        pg_sys::F_REGR_SXY => Of::Pairs(Sxy),
        pg_sys::F_COVAR_POP => Of::Pairs(CovarPop),
        pg_sys::F_COVAR_SAMP => Of::Pairs(CovarSamp),
        pg_sys::F_CORR => Of::Pairs(Corr),
        pg_sys::F_REGR_R2 => Of::Pairs(R2),
        pg_sys::F_REGR_SLOPE => Of::Pairs(Slope),
        pg_sys::F_REGR_INTERCEPT => Of::Pairs(Intercept),
        _ => return None,
    })
}

impl Recogniser {
    pub(super) fn statistic(
        &mut self,
        agg: Aggref,
        of: Of,
        arguments: &[Node],
        filter: Option<usize>,
    ) -> std::result::Result<Aggregate, Reason> {
        // Of pairs, y comes first.
        let (x, y, statistic) = match (of, arguments) {
            (Of::Values(statistic), [x]) => (wide(*x), None, Some(statistic)),
            (Of::Pairs(statistic), [y, x]) => (*x, Some(*y), Some(statistic)),
            (Of::Count, [y, x]) => (*x, Some(*y), None),
            _ => return Err(Reason::SeveralArguments),
        };
        if statistic.is_some() && !self.approximate {
            return Err(Reason::FloatingStatistic);
        }
        let other = y.map(|y| self.argument(agg, y));
        let input = Input { argument: Some(x), arg: Some(self.argument(agg, x)), filter };
        let count = match other {
            Some(other) => {
                let pairs = call(agg, pg_sys::F_REGR_COUNT, pg_sys::INT8OID, &[y.unwrap_or(x), x]);
                self.state(pairs, StateKind::Pairs { other }, &input)
            }
            None => self.count(call(agg, pg_sys::F_SUM_FLOAT8, pg_sys::FLOAT8OID, &[x]), &input),
        };
        let Some(of) = statistic else { return Ok(Aggregate::Count(count)) };
        let state = self.spread(agg, x, y, Spread { y: other, count }, &input);
        Ok(Aggregate::Statistic { state, of })
    }

    /// Position of the first one of the sums.
    fn spread(&mut self, agg: Aggref, x: Node, y: Option<Node>, of: Spread, input: &Input) -> usize {
        let is_first =
            |s: &State| matches!(s.kind, StateKind::Spread(Spread { y, count }) if (y, count) == (of.y, of.count));
        if let Some(known) = self.fold.states.iter().position(is_first) {
            return known;
        }
        let first = self.fold.states.len();
        let pair = [y.unwrap_or(x), x];
        let sum = |of: Node, beside: Option<Node>| {
            let node = call(agg, pg_sys::F_SUM_FLOAT8, pg_sys::FLOAT8OID, &[of]);
            beside.into_iter().for_each(|beside| only_with(node, beside));
            node
        };
        let own = |function| call(agg, function, pg_sys::FLOAT8OID, &pair);
        let mut nodes = vec![sum(x, y), own(pg_sys::F_REGR_SXX), own(pg_sys::F_REGR_SXX)];
        if let Some(y) = y {
            nodes.extend([sum(y, Some(x)), own(pg_sys::F_REGR_SYY), own(pg_sys::F_REGR_SYY), own(pg_sys::F_REGR_SXY)]);
        }
        for (i, node) in nodes.into_iter().enumerate() {
            let kind = if i == 0 { StateKind::Spread(of) } else { StateKind::SpreadPart { count: of.count } };
            self.fold.states.push(State { node, kind, arg: input.arg, filter: input.filter });
        }
        first
    }
}

/// Another aggregate of the same rows.
fn call(agg: Aggref, function: u32, result: pg_sys::Oid, arguments: &[Node]) -> Aggref {
    let node = agg.copy();
    node.set_aggfnoid(pg_sys::Oid::from(function));
    node.set_aggtype(result);
    node.set_aggargtypes(list::of_oids(arguments.iter().map(|_| pg_sys::FLOAT8OID)));
    let target = |(i, n): (usize, &Node)| make::target(n.copy().cast(), i + 1, crate::pg::tree::Text::null(), false);
    node.set_args(list::of(arguments.iter().enumerate().map(target)));
    node
}

/// Leaves rows out in which another value is NULL.
fn only_with(agg: Aggref, other: Node) {
    let test = make::make::<pg_sys::NullTest>();
    test.set_arg(other.copy().cast());
    test.set_nulltesttype(pg_sys::NullTestType::IS_NOT_NULL);
    test.set_location(-1);
    let filter = agg.aggfilter();
    agg.set_aggfilter(if filter.is_null() { test.cast() } else { server::make_and_qual(filter, test.cast()).cast() });
}

/// As double precision.
fn wide(node: Node) -> Node {
    if type_of(node).0 != pg_sys::FLOAT4OID {
        return node;
    }
    let none = pg_sys::InvalidOid;
    make::call(
        pg_sys::Oid::from(pg_sys::F_FLOAT8_FLOAT4),
        pg_sys::FLOAT8OID,
        list::lappend(Tree::null(), node.copy()),
        none,
        none,
    )
}
