//! Functions that SQL calls.
//!
//! Invariant: an error of the server inside a function reaches the caller as it was raised, with SQLSTATE, detail, constraint and context: the
//! outer frame has no destructors and raises what `shield` hands it (original.rs). Rows are handed over all at once, in a tuplestore that
//! spills by work_mem, so nothing is open between them. Source of the protocols: utils/fmgr/README.
//! Called by the functions of monitor/.

use super::callback::Frame;
use super::error::{Error, Result, or_raise};
use super::{original, reserve};
use pgrx::{FromDatum, pg_guard, pg_sys};

/// The arguments of a call.
pub struct Arguments(pg_sys::FunctionCallInfo);

/// The body of a function; None is NULL.
pub type Body = fn(&Arguments) -> Result<Option<pg_sys::Datum>>;

/// `sql_function!(symbol, symbol of its call convention, body)`
macro_rules! sql_function {
    ($name:ident, $finfo:ident, $body:path) => {
        #[unsafe(no_mangle)]
        pub extern "C" fn $finfo() -> &'static pgrx::pg_sys::Pg_finfo_record {
            const RECORD: pgrx::pg_sys::Pg_finfo_record = pgrx::pg_sys::Pg_finfo_record { api_version: 1 };
            &RECORD
        }

        #[unsafe(no_mangle)]
        pub unsafe extern "C-unwind" fn $name(fcinfo: pgrx::pg_sys::FunctionCallInfo) -> pgrx::pg_sys::Datum {
            // SAFETY: `fcinfo` is the call of the function manager.
            unsafe { $crate::pg::function::call(fcinfo, $body) }
        }
    };
}
pub(crate) use sql_function;

/// # Safety
/// `fcinfo` is the server's own call; the caller's frame has no destructors.
pub unsafe fn call(fcinfo: pg_sys::FunctionCallInfo, body: Body) -> pg_sys::Datum {
    // SAFETY: the caller promises: `fcinfo` is what the server calls with; the caller's frame has no destructors.
    unsafe {
        let mut frame = Frame::new();
        frame.push(std::ptr::null());
        reserve::require();
        let mut result = pg_sys::Datum::from(0usize);
        let error = run(fcinfo, body, &mut result);
        frame.pop();
        original::rethrow(error);
        result
    }
}

#[pg_guard]
#[allow(improper_ctypes_definitions)] // called from this file
unsafe extern "C-unwind" fn run(
    fcinfo: pg_sys::FunctionCallInfo,
    body: Body,
    result: *mut pg_sys::Datum,
) -> *mut pg_sys::ErrorData {
    // SAFETY: `fcinfo` is the call of the function manager; `result` points to memory of the caller.
    unsafe {
        original::shield(|| match or_raise(body(&Arguments(fcinfo))) {
            Some(value) => *result = value,
            None => (*fcinfo).isnull = true,
        })
    }
}

impl Arguments {
    /// Argument `n`, from 0, of a strict function.
    pub fn get<T: FromDatum>(&self, n: usize) -> Option<T> {
        // SAFETY: the declaration of the function gives the number and types of its arguments.
        unsafe {
            let nargs = (*self.0).nargs as usize;
            (*self.0).args.as_slice(nargs).get(n).and_then(|a| T::from_datum(a.value, a.isnull))
        }
    }

    /// Argument `n` as it is given; None for NULL.
    pub fn datum(&self, n: usize) -> Option<pg_sys::Datum> {
        // SAFETY: as above.
        unsafe {
            let nargs = (*self.0).nargs as usize;
            (*self.0).args.as_slice(nargs).get(n).and_then(|a| (!a.isnull).then_some(a.value))
        }
    }

    /// Whether this is a CALL, of a procedure that may end transactions.
    pub fn may_commit(&self) -> bool {
        // SAFETY: the context of a call is null or a node.
        unsafe {
            let context = (*self.0).context;
            !context.is_null()
                && (*context).type_ == pg_sys::NodeTag::T_CallContext
                && !(*context.cast::<pg_sys::CallContext>()).atomic
        }
    }

    /// Where the states of the aggregate live that this is a transition function of.
    pub fn aggregate_context(&self) -> Result<pg_sys::MemoryContext> {
        let mut context = std::ptr::null_mut();
        // SAFETY: the call of the function manager.
        match unsafe { pg_sys::AggCheckCallContext(self.0, &mut context) } {
            0 => Err(Error::Internal("called outside of an aggregate".into())),
            _ => Ok(context),
        }
    }

    /// The type of argument `n` of this call.
    pub fn type_of(&self, n: i32) -> pg_sys::Oid {
        // SAFETY: the call of the function manager, which has looked the function up.
        unsafe { pg_sys::get_fn_expr_argtype((*self.0).flinfo, n) }
    }

    pub fn collation(&self) -> pg_sys::Oid {
        // SAFETY: the call of the function manager.
        unsafe { (*self.0).fncollation }
    }

    /// What `find` found at the first of the calls that one plan makes.
    pub fn remembered<T>(&self, find: impl FnOnce() -> *mut T) -> *mut T {
        // SAFETY: the call of the function manager, which has looked the function up; nobody else uses its memory.
        unsafe {
            let extra = &mut (*(*self.0).flinfo).fn_extra;
            if extra.is_null() {
                *extra = find().cast();
            }
            extra.cast()
        }
    }

    /// The relation that argument 0 names; 0 for none.
    pub fn relation(&self) -> pg_sys::Oid {
        self.get(0).unwrap_or(pg_sys::InvalidOid)
    }

    /// The result of a function that returns these rows.
    pub fn rows<const N: usize>(
        &self,
        rows: impl IntoIterator<Item = [Option<pg_sys::Datum>; N]>,
    ) -> Result<Option<pg_sys::Datum>> {
        // SAFETY: values are of the declared types; the tuplestore copies them.
        unsafe {
            pg_sys::InitMaterializedSRF(self.0, pg_sys::MAT_SRF_USE_EXPECTED_DESC);
            let info = (*self.0).resultinfo.cast::<pg_sys::ReturnSetInfo>();
            for row in rows {
                let mut values = row.map(|value| value.unwrap_or(pg_sys::Datum::from(0usize)));
                let mut nulls = row.map(|value| value.is_none());
                pg_sys::tuplestore_putvalues(
                    (*info).setResult,
                    (*info).setDesc,
                    values.as_mut_ptr(),
                    nulls.as_mut_ptr(),
                );
            }
        }
        Ok(None)
    }
}
