//! Runs the moving transition functions of an aggregate, as nodeWindowAgg.c does, over a state that is kept.

use crate::pg::aggregate::{Context, Moving};
use crate::pg::ext;
use pgrx::pg_sys::{self, Datum, ffi::pg_guard_ffi_boundary as guard};

/// A transition value, and how many values it stands for.
#[derive(Clone, Copy, Debug)]
pub struct State {
    pub value: Option<Datum>,
    pub count: i64,
}

/// The count of a state that is never reset by its count.
const UNCOUNTED: i64 = 1 << 40;

/// `Moving`, ready to be called.
pub struct Machine {
    trans: Function,
    inverse: Function,
    last: Option<Function>,
    extra: bool,
    serial: Option<[Function; 3]>,
    strict: bool,
    inverse_strict: bool,
    initial: Option<Datum>,
    by_value: bool,
    len: i16,
    /// How many sums a stored numeric state has.
    sums: Option<u32>,
    /// Says where transition values live.
    context: *mut Context,
}

impl Machine {
    /// # Safety
    /// `context` is current and outlives the machine.
    pub unsafe fn new(m: &Moving, context: *mut Context) -> Machine {
        // SAFETY: `context` is current and outlives the machine, as the caller promises.
        unsafe {
            let function = |oid| Function::new(oid, m.collation, context);
            let (mut len, mut by_value) = (0, false);
            pg_sys::get_typlenbyval(m.mtranstype, &mut len, &mut by_value);
            let initial = m.minitval.as_ref().map(|text| {
                let (mut input, mut param) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
                pg_sys::getTypeInputInfo(m.mtranstype, &mut input, &mut param);
                let text = std::ffi::CString::new(text.as_str()).unwrap_or_default();
                pg_sys::OidInputFunctionCall(input, text.as_ptr().cast_mut(), param, -1)
            });
            let trans = function(m.mtransfn);
            let inverse = function(m.minvtransfn);
            Machine {
                strict: trans.strict(),
                inverse_strict: inverse.strict(),
                trans,
                inverse,
                last: (m.mfinalfn != pg_sys::InvalidOid).then(|| function(m.mfinalfn)),
                extra: m.mfinalextra,
                serial: m
                    .stored
                    .as_ref()
                    .map(|s| [function(s.serialfn), function(s.deserialfn), function(s.combinefn)]),
                initial,
                by_value,
                len,
                sums: m.stored.as_ref().and_then(|s| match s.serialfn.to_u32() {
                    pg_sys::F_NUMERIC_AVG_SERIALIZE => Some(1),
                    pg_sys::F_NUMERIC_SERIALIZE => Some(2),
                    _ => None,
                }),
                context,
            }
        }
    }

    pub fn fresh(&self) -> State {
        let count = if self.counted() { 0 } else { UNCOUNTED };
        State { value: self.initial.map(|d| self.copy(d)), count }
    }

    /// Whether the first value becomes the state, so that the number of values must be known to take the last value out.
    fn counted(&self) -> bool {
        self.strict && self.initial.is_none()
    }

    fn copy(&self, value: Datum) -> Datum {
        // SAFETY: a value of the transition type; `internal` is by value for the server.
        unsafe {
            let before = pg_sys::MemoryContextSwitchTo((*self.context).curaggcontext);
            let out = ext::copy_datum(value, self.by_value, i32::from(self.len));
            pg_sys::MemoryContextSwitchTo(before);
            out
        }
    }

    /// Moves a new transition value to the context of transition values, as advance_windowaggregate does.
    ///
    /// # Safety
    /// Both are values of the transition type, live in the context of the state.
    unsafe fn settle(&self, old: Option<Datum>, new: Option<Datum>) -> Option<Datum> {
        // SAFETY: both are values of the transition type, live in the context of the state.
        unsafe {
            match (old, new) {
                (Some(a), Some(b)) if self.by_value || a.value() == b.value() => Some(b),
                (old, Some(b)) => {
                    let kept = self.copy(b);
                    if let Some(old) = old.filter(|_| !self.by_value) {
                        pg_sys::pfree(old.cast_mut_ptr());
                    }
                    Some(kept)
                }
                (_, None) => None,
            }
        }
    }

    /// The state of a stored row, from the value that `dump` gave.
    ///
    /// # Safety
    /// `stored` is of the state's type; the context is current.
    pub unsafe fn restore(&mut self, stored: Option<Datum>, count: Option<i64>) -> State {
        // SAFETY: the caller promises: `stored` is of the state's type; the context is current.
        unsafe {
            let count = count.unwrap_or(UNCOUNTED);
            let Some(stored) = stored else { return State { count, ..self.fresh() } };
            let value = match &mut self.serial {
                // A state that is read back is only good for combining: it would not take in squares (numeric_deserialize).
                Some([_, deserial, combine]) => {
                    let read = deserial.call(&[Some(stored), None]);
                    combine.call(&[None, read])
                }
                None => Some(self.copy(stored)),
            };
            State { value, count }
        }
    }

    /// The value by which the state is stored.
    ///
    /// # Safety
    /// The context is current.
    pub unsafe fn dump(&mut self, state: &State) -> Option<Datum> {
        // SAFETY: The context is current, as the caller promises.
        unsafe {
            match &mut self.serial {
                Some([serial, ..]) => {
                    let stored = state.value.and_then(|v| serial.call(&[Some(v)]))?;
                    if let Some(sums) = self.sums {
                        canonical(stored, sums);
                    }
                    (!is_nothing(stored)).then_some(stored)
                }
                None => state.value,
            }
        }
    }

    /// Takes one value in.
    ///
    /// # Safety
    /// `arg` is of the argument's type; the context is current.
    pub unsafe fn advance(&mut self, state: &mut State, arg: Option<Datum>) {
        // SAFETY: the caller promises: `arg` is of the argument's type; the context is current.
        unsafe {
            if self.serial.is_some() && arg.is_none() {
                return;
            }
            if self.strict {
                let Some(arg) = arg else { return };
                if state.count == 0 && state.value.is_none() {
                    state.value = Some(self.copy(arg));
                    state.count = 1;
                    return;
                }
                if state.value.is_none() {
                    return;
                }
            }
            let value = self.trans.call(&[state.value, arg]);
            state.value = self.settle(state.value, value);
            state.count += 1;
        }
    }

    /// Takes one value out; false when only recomputing can tell the state that remains.
    ///
    /// # Safety
    /// As `advance`.
    pub unsafe fn retreat(&mut self, state: &mut State, arg: Option<Datum>) -> bool {
        // SAFETY: the state was made by this machine; the argument is of the aggregate's input type.
        unsafe {
            if (self.inverse_strict || self.serial.is_some()) && arg.is_none() {
                return true;
            }
            if state.count == 1 {
                *state = self.fresh();
                return true;
            }
            if state.value.is_none() {
                return self.inverse_strict;
            }
            let value = self.inverse.call(&[state.value, arg]);
            state.value = self.settle(state.value, value);
            state.count -= 1;
            state.value.is_some()
        }
    }

    /// The aggregate's result.
    ///
    /// # Safety
    /// The context is current.
    pub unsafe fn result(&mut self, state: &State) -> Option<Datum> {
        // SAFETY: The context is current, as the caller promises.
        unsafe {
            let extra = self.extra;
            match &mut self.last {
                None => state.value,
                Some(last) if last.strict() && (state.value.is_none() || extra) => None,
                Some(last) if extra => last.call(&[state.value, None]),
                Some(last) => last.call(&[state.value]),
            }
        }
    }
}

/// Whether a stored state is the state of no values.
///
/// # Safety
/// A serialized state: a bytea that this machine holds.
unsafe fn is_nothing(stored: Datum) -> bool {
    // SAFETY: a serialized state: a bytea that this machine holds.
    unsafe {
        let varlena = stored.cast_mut_ptr::<pg_sys::varlena>();
        let len = pgrx::varsize_any_exhdr(varlena);
        std::slice::from_raw_parts(pgrx::vardata_any(varlena).cast::<u8>(), len).iter().all(|b| *b == 0)
    }
}

/// Brings a stored numeric state to the form that it has when it is computed afresh: sums have the scale of the values
/// that are in them, not of values taken out. Source: utils/adt/numeric.c, numeric_serialize, numericvar_serialize.
///
/// # Safety
/// A serialized state that nobody else sees yet.
unsafe fn canonical(stored: Datum, sums: u32) {
    // SAFETY: a serialized state that nobody else sees yet.
    unsafe {
        let varlena = stored.cast_mut_ptr::<pg_sys::varlena>();
        let len = pgrx::varsize_any_exhdr(varlena);
        let bytes = std::slice::from_raw_parts_mut(pgrx::vardata_any(varlena).cast_mut().cast::<u8>(), len);
        let int = |bytes: &[u8], at: usize| -> Option<u32> {
            bytes.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
        };
        // N; then per sum: number of digits, weight, sign, scale, digits; then the greatest scale.
        let mut at = 8;
        let mut scales = Vec::new();
        for _ in 0..sums {
            let Some(digits) = int(bytes, at) else { return };
            scales.push(at + 12);
            at += 16 + 2 * digits as usize;
        }
        let Some(greatest) = int(bytes, at) else { return };
        for (i, scale) in scales.into_iter().enumerate() {
            let value = greatest * (i as u32 + 1);
            if let Some(place) = bytes.get_mut(scale..scale + 4) {
                place.copy_from_slice(&value.to_be_bytes());
            }
        }
    }
}

/// A context whose states live in the current memory context.
pub fn context() -> *mut Context {
    // SAFETY: a zeroed node with its tag; only `curaggcontext` is looked at.
    unsafe {
        let node = pg_sys::palloc0(std::mem::size_of::<Context>()).cast::<Context>();
        (*node.cast::<pg_sys::Node>()).type_ = pg_sys::NodeTag::T_WindowAggState;
        (*node).curaggcontext = pg_sys::CurrentMemoryContext;
        node
    }
}

/// A function of up to two arguments, looked up once.
struct Function {
    info: *mut pg_sys::FmgrInfo,
    call: pg_sys::FunctionCallInfo,
}

impl Function {
    /// # Safety
    /// `context` points to memory of the caller.
    unsafe fn new(oid: pg_sys::Oid, collation: pg_sys::Oid, context: *mut Context) -> Function {
        // SAFETY: `context` points to memory of the caller.
        unsafe {
            let info = pg_sys::palloc0(std::mem::size_of::<pg_sys::FmgrInfo>()).cast::<pg_sys::FmgrInfo>();
            pg_sys::fmgr_info(oid, info);
            let size = std::mem::size_of::<pg_sys::FunctionCallInfoBaseData>()
                + 2 * std::mem::size_of::<pg_sys::NullableDatum>();
            let call = pg_sys::palloc0(size).cast::<pg_sys::FunctionCallInfoBaseData>();
            (*call).flinfo = info;
            (*call).fncollation = collation;
            (*call).context = context.cast();
            Function { info, call }
        }
    }

    fn strict(&self) -> bool {
        // SAFETY: looked up by new().
        unsafe { (*self.info).fn_strict }
    }

    /// # Safety
    /// The call was made for this function; its arguments are of the function's types.
    unsafe fn call(&mut self, args: &[Option<Datum>]) -> Option<Datum> {
        // SAFETY: the call was made for this function; its arguments are of the function's types.
        unsafe {
            let call = self.call;
            (*call).isnull = false;
            (*call).nargs = args.len() as i16;
            let slots = (*call).args.as_mut_ptr();
            for (i, arg) in args.iter().enumerate() {
                let slot = &mut *slots.add(i);
                slot.isnull = arg.is_none();
                slot.value = arg.unwrap_or(Datum::from(0usize));
            }
            let address = (*self.info).fn_addr?;
            #[allow(ffi_unwind_calls)] // inside the guard's closure, which has nothing to drop
            let value = guard(|| address(call));
            (!(*call).isnull).then_some(value)
        }
    }
}
