//! A call of an aggregate, as a node of an expression. Called by rules and split, which count and take extremes.

use crate::pg::ext::make;
use pgrx::pg_sys;

/// A call of an aggregate of one argument.
pub struct Call {
    pub function: u32,
    pub result: pg_sys::Oid,
    pub argument: *mut pg_sys::Node,
}

impl Call {
    pub unsafe fn node(self) -> *mut pg_sys::Node {
        // SAFETY: the part belongs to a query that is alive.
        unsafe {
            let agg = make::<pg_sys::Aggref>(pg_sys::NodeTag::T_Aggref);
            (*agg).aggfnoid = pg_sys::Oid::from(self.function);
            (*agg).aggtype = self.result;
            (*agg).aggargtypes = pg_sys::lappend_oid(std::ptr::null_mut(), pg_sys::exprType(self.argument));
            (*agg).inputcollid = pg_sys::exprCollation(self.argument);
            if pg_sys::get_typcollation(self.result) != pg_sys::InvalidOid {
                (*agg).aggcollid = (*agg).inputcollid;
            }
            let tle = pg_sys::makeTargetEntry(self.argument.cast(), 1, std::ptr::null_mut(), false);
            (*agg).args = pg_sys::lappend(std::ptr::null_mut(), tle.cast());
            (*agg).aggkind = b'n' as _;
            (*agg).aggsplit = pg_sys::AggSplit::AGGSPLIT_SIMPLE;
            (*agg).aggno = -1;
            (*agg).aggtransno = -1;
            (*agg).location = -1;
            agg.cast()
        }
    }
}
