//! Tops (`tviews_core::top`) of values of a type of the server: `tviews.state_greatest` and `tviews.state_least` compute them, TVIEWs store them.
//!
//! Invariant: equal tops are equal bytes, whether the aggregates or a fold made them. What is stored is the number of entries, 128 more when there are no other
//! values, then for each entry its number and its value; numbers are in groups of seven bits, lowest first; values are their bytes, those of variable
//! length behind their length. Called by analysis (which aggregate) and by refresh/follow/fold.
//! Source: utils/adt/array_userfuncs.c, array_agg_transfn and its relatives, for aggregates with a state that only the server's memory has.

use crate::pg::error::{Error, Result};
use crate::pg::function::{self, Arguments, sql_function};
use crate::pg::{ext, varlena};
use pgrx::pg_sys::{self, Datum};
use std::cmp::Ordering;
use tviews_core::top::{Top, Values};

/// How values of a type are compared, stored and copied.
#[derive(Clone, Copy)]
pub struct Order {
    pub greatest: bool,
    /// The comparison of the type's default order.
    pub compare: *mut pg_sys::FmgrInfo,
    pub collation: pg_sys::Oid,
    pub by_value: bool,
    pub len: i16,
    /// Where kept values live.
    pub home: pg_sys::MemoryContext,
    /// Whether a value that is not needed any more gives its memory back; otherwise its context does.
    pub frees: bool,
}

impl Values<Datum> for Order {
    fn compare(&self, a: Datum, b: Datum) -> Ordering {
        // SAFETY: values of the type; the comparison is one of the type cache, which keeps its entries.
        let compared = unsafe { pg_sys::FunctionCall2Coll(self.compare, self.collation, a, b).value() as i32 }.cmp(&0);
        if self.greatest { compared } else { compared.reverse() }
    }

    fn same(&self, a: Datum, b: Datum) -> bool {
        if self.by_value {
            return self.word(a) == self.word(b);
        }
        // SAFETY: values of the type.
        unsafe { ext::same_image(a, b, false, i32::from(self.len)) }
    }

    fn size(&self, a: Datum) -> usize {
        match self.len {
            // SAFETY: a kept value, which is plain.
            -1 => unsafe { varlena::bytes(a).len() },
            len => usize::try_from(len).unwrap_or(0),
        }
    }

    fn keep(&self, a: Datum) -> Datum {
        if self.by_value {
            return a;
        }
        // SAFETY: a value of the type; the context outlives what is kept.
        unsafe {
            let before = pg_sys::MemoryContextSwitchTo(self.home);
            let kept = match self.len {
                -1 => pg_sys::pg_detoast_datum_copy(a.cast_mut_ptr()).into(),
                len => ext::copy_datum(a, false, i32::from(len)),
            };
            pg_sys::MemoryContextSwitchTo(before);
            kept
        }
    }

    fn free(&self, a: Datum) {
        if self.frees && !self.by_value {
            // SAFETY: a value that `keep` has made.
            unsafe { pg_sys::pfree(a.cast_mut_ptr()) }
        }
    }
}

impl Order {
    /// The bytes of a value that is passed by value, as one number: a server's function may leave what is in front of them as it likes.
    fn word(&self, value: Datum) -> u64 {
        let bits = 8 * u32::from(self.len.unsigned_abs());
        value.value() as u64 & u64::MAX.checked_shr(64 - bits).unwrap_or(u64::MAX)
    }

    /// A top as it is stored, in the current memory context.
    pub fn store(&self, top: &Top<Datum>) -> Datum {
        varlena::of(&self.bytes(top))
    }

    fn bytes(&self, top: &Top<Datum>) -> Vec<u8> {
        let mut out = vec![top.entries().len() as u8 | if top.is_complete() { 128 } else { 0 }];
        for (value, number) in top.entries() {
            put(&mut out, *number as u64);
            // SAFETY: kept values: those that are passed by reference are in memory, and plain.
            unsafe {
                match self.len {
                    len if self.by_value => {
                        out.extend(&self.word(*value).to_le_bytes()[..usize::from(len.unsigned_abs())])
                    }
                    -1 => {
                        let bytes = varlena::bytes(*value);
                        put(&mut out, bytes.len() as u64);
                        out.extend(bytes);
                    }
                    len => out.extend(std::slice::from_raw_parts(
                        value.cast_mut_ptr::<u8>(),
                        usize::from(len.unsigned_abs()),
                    )),
                }
            }
        }
        out
    }

    /// The top that is stored; one that says nothing when there is none.
    ///
    /// # Safety
    /// The value was stored for values of this type.
    pub unsafe fn restore(&self, stored: Option<Datum>) -> Top<Datum> {
        // SAFETY: as the caller promises.
        stored.and_then(|stored| self.read(unsafe { varlena::plain(stored) })).unwrap_or_else(unknown)
    }

    /// None when these are not the bytes of a top.
    fn read(&self, mut bytes: &[u8]) -> Option<Top<Datum>> {
        let head = *take(&mut bytes, 1)?.first()?;
        let mut top = if head >= 128 { Top::empty(nothing()) } else { unknown() };
        if usize::from(head & 127) > tviews_core::top::MOST {
            return None;
        }
        for _ in 0..head & 127 {
            let times = number(&mut bytes)?;
            let len = match self.len {
                -1 => usize::try_from(number(&mut bytes)?).ok()?,
                len => usize::try_from(len).ok()?,
            };
            let value = take(&mut bytes, len)?;
            top.append(self.value(value), i64::try_from(times).ok()?);
        }
        bytes.is_empty().then_some(top)
    }

    fn value(&self, bytes: &[u8]) -> Datum {
        if self.by_value {
            let mut word = [if self.len < 8 && bytes.last().is_some_and(|b| *b >= 128) { 255 } else { 0 }; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            return Datum::from(u64::from_le_bytes(word) as usize);
        }
        // SAFETY: as much memory as is written; the context outlives what is kept.
        unsafe {
            let before = pg_sys::MemoryContextSwitchTo(self.home);
            let value = if self.len == -1 {
                varlena::of(bytes)
            } else {
                let place = pg_sys::palloc(bytes.len()).cast::<u8>();
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len());
                Datum::from(place)
            };
            pg_sys::MemoryContextSwitchTo(before);
            value
        }
    }
}

/// Whether a stored top says less than a computed one, and nothing else: a fold has lost what it did not know.
///
/// # Safety
/// Both are stored tops of one type.
pub unsafe fn is_shorter(stored: Datum, computed: Datum) -> bool {
    // SAFETY: as the caller promises.
    let (stored, computed) = unsafe { (varlena::plain(stored), varlena::plain(computed)) };
    match (stored, computed) {
        ([head, stored @ ..], [_, computed @ ..]) => *head < 128 && computed.starts_with(stored),
        _ => false,
    }
}

fn nothing() -> Datum {
    Datum::from(0usize)
}

fn unknown() -> Top<Datum> {
    Top::unknown(nothing())
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number > 127 {
        out.push(number as u8 | 128);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take<'b>(bytes: &mut &'b [u8], len: usize) -> Option<&'b [u8]> {
    let (first, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(first)
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..63).step_by(7) {
        let byte = *take(bytes, 1)?.first()?;
        number |= u64::from(byte & 127) << shift;
        if byte < 128 {
            return Some(number);
        }
    }
    None
}

/// The aggregate that computes the top; None where the extension has none yet, or values cannot be kept.
pub fn aggregate(greatest: bool, of: pg_sys::Oid) -> Option<pg_sys::Oid> {
    // SAFETY: catalog look-ups.
    unsafe {
        let (mut len, mut by_value) = (0, false);
        pg_sys::get_typlenbyval(of, &mut len, &mut by_value);
        let element = match pg_sys::get_element_type(of) {
            pg_sys::InvalidOid => of,
            element => element,
        };
        // Rows have the number of their type in them, and may have attributes of later.
        let kept = len != -2 && !pg_sys::type_is_rowtype(pg_sys::getBaseType(element));
        if !kept {
            return None;
        }
        let label = if greatest { c"state_greatest" } else { c"state_least" };
        super::in_schema(label, pg_sys::ANYELEMENTOID)
    }
}

/// The state of the aggregates.
#[derive(Clone, Copy)]
struct State {
    top: Top<Datum>,
    of: pg_sys::Oid,
    len: i16,
    by_value: bool,
    greatest: bool,
}

/// `transition!(symbol, symbol of its call convention, quick, body)`: as `sql_function!`, without a guard where `quick` does it; then argument 0 is the result.
macro_rules! transition {
    ($name:ident, $finfo:ident, $quick:path, $body:path) => {
        #[unsafe(no_mangle)]
        pub extern "C" fn $finfo() -> &'static pg_sys::Pg_finfo_record {
            const RECORD: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
            &RECORD
        }

        #[unsafe(no_mangle)]
        pub unsafe extern "C-unwind" fn $name(fcinfo: pg_sys::FunctionCallInfo) -> Datum {
            // SAFETY: `fcinfo` is the call of the function manager; the frame has no destructors.
            unsafe { if $quick(fcinfo) { (*(*fcinfo).args.as_ptr()).value } else { function::call(fcinfo, $body) } }
        }
    };
}

transition!(tviews_take_greatest, pg_finfo_tviews_take_greatest, takes_quickly, take_greatest);
transition!(tviews_take_least, pg_finfo_tviews_take_least, takes_quickly, take_least);
sql_function!(tviews_top, pg_finfo_tviews_top, stored);
transition!(tviews_top_combine, pg_finfo_tviews_top_combine, combines_quickly, combine);
sql_function!(tviews_top_serialize, pg_finfo_tviews_top_serialize, serialize);
sql_function!(tviews_top_deserialize, pg_finfo_tviews_top_deserialize, deserialize);

/// `tviews.take_greatest(internal, anyelement) RETURNS internal`
fn take_greatest(arguments: &Arguments) -> Result<Option<Datum>> {
    accumulate(arguments, true)
}

/// `tviews.take_least(internal, anyelement) RETURNS internal`
fn take_least(arguments: &Arguments) -> Result<Option<Datum>> {
    accumulate(arguments, false)
}

mod raw {
    use super::{Datum, pg_sys};
    unsafe extern "C-unwind" {
        // fmgr.h
        pub fn FunctionCall2Coll(function: *mut pg_sys::FmgrInfo, collation: pg_sys::Oid, a: Datum, b: Datum) -> Datum;
    }
}

/// Values that are passed by value: nothing is made of them but comparisons, whose errors pass through frames without destructors.
struct Words(Order);

#[allow(ffi_unwind_calls)] // frames without destructors
impl Values<Datum> for Words {
    fn compare(&self, a: Datum, b: Datum) -> Ordering {
        let Words(Order { compare, collation, greatest, .. }) = *self;
        // SAFETY: as for `Order`.
        let compared = unsafe {
            match (*compare).fn_oid.to_u32() {
                pg_sys::F_BTINT4CMP | pg_sys::F_DATE_CMP => (a.value() as i32).cmp(&(b.value() as i32)),
                pg_sys::F_BTINT8CMP | pg_sys::F_TIMESTAMP_CMP | pg_sys::F_TIMESTAMPTZ_CMP => {
                    (a.value() as i64).cmp(&(b.value() as i64))
                }
                _ => (raw::FunctionCall2Coll(compare, collation, a, b).value() as i32).cmp(&0),
            }
        };
        if greatest { compared } else { compared.reverse() }
    }

    fn same(&self, a: Datum, b: Datum) -> bool {
        self.0.word(a) == self.0.word(b)
    }

    fn size(&self, _: Datum) -> usize {
        usize::from(self.0.len.unsigned_abs())
    }

    fn keep(&self, a: Datum) -> Datum {
        a
    }

    fn free(&self, _: Datum) {}
}

/// Takes a value in where that needs no memory: one that is passed by value, or is worse than all of a list that is cut off, as most are.
///
/// # Safety
/// `fcinfo` is the call of a transition function by the server, which has checked its state.
#[allow(ffi_unwind_calls)] // frames without destructors
unsafe fn takes_quickly(fcinfo: pg_sys::FunctionCallInfo) -> bool {
    // SAFETY: two arguments; a state, once there is one, is ours, and what is remembered beside it is its comparison.
    unsafe {
        let arguments = (*fcinfo).args.as_ptr();
        let (state, value) = (&*arguments, &*arguments.add(1));
        let compare = (*(*fcinfo).flinfo).fn_extra.cast::<pg_sys::FmgrInfo>();
        if state.isnull || value.isnull || compare.is_null() {
            return false;
        }
        let state = &mut *state.value.cast_mut_ptr::<State>();
        let (State { len, by_value, greatest, .. }, home) = (*state, std::ptr::null_mut());
        let words =
            Words(Order { greatest, compare, collation: (*fcinfo).fncollation, by_value, len, home, frees: false });
        if by_value {
            state.top.take(value.value, 1, &words);
            return true;
        }
        let last = state.top.entries().last().filter(|_| !state.top.is_complete());
        last.is_some_and(|(last, _)| words.compare(value.value, *last) == Ordering::Less)
    }
}

/// Takes the values of another state in where that needs no memory: those that are passed by value.
///
/// # Safety
/// `fcinfo` is the call of the function that combines states by the server, which has checked them.
unsafe fn combines_quickly(fcinfo: pg_sys::FunctionCallInfo) -> bool {
    // SAFETY: two arguments; states are ours and of one type, and what is remembered beside them is its comparison.
    unsafe {
        let arguments = (*fcinfo).args.as_ptr();
        let (state, other) = (&*arguments, &*arguments.add(1));
        let compare = (*(*fcinfo).flinfo).fn_extra.cast::<pg_sys::FmgrInfo>();
        if state.isnull || other.isnull || compare.is_null() {
            return false;
        }
        let (state, other) = (&mut *state.value.cast_mut_ptr::<State>(), &*other.value.cast_mut_ptr::<State>());
        let (State { len, by_value, greatest, .. }, home) = (*state, std::ptr::null_mut());
        let collation = (*fcinfo).fncollation;
        let words = Words(Order { greatest, compare, collation, by_value, len, home, frees: false });
        if by_value {
            state.top.merge(&other.top, &words);
        }
        by_value
    }
}

fn accumulate(arguments: &Arguments, greatest: bool) -> Result<Option<Datum>> {
    let Some(value) = arguments.datum(1) else { return Ok(arguments.datum(0)) };
    let home = arguments.aggregate_context()?;
    // SAFETY: the state is ours, or made here; the value is of the type that it was made for.
    unsafe {
        let state = match arguments.datum(0) {
            Some(state) => state.cast_mut_ptr::<State>(),
            None => State::new(arguments.type_of(1), greatest, home),
        };
        let order = (*state).order(arguments, home)?;
        (*state).top.take(value, 1, &order);
        Ok(Some(Datum::from(state)))
    }
}

/// `tviews.top(internal) RETURNS bytea`
fn stored(arguments: &Arguments) -> Result<Option<Datum>> {
    // SAFETY: the state is ours.
    let state = arguments.datum(0).map(|state| unsafe { &*state.cast_mut_ptr::<State>() });
    Ok(Some(match state {
        Some(state) => state.plain().store(&state.top),
        None => varlena::of(&[128]),
    }))
}

/// `tviews.top_combine(internal, internal) RETURNS internal`
fn combine(arguments: &Arguments) -> Result<Option<Datum>> {
    let Some(other) = arguments.datum(1) else { return Ok(arguments.datum(0)) };
    let home = arguments.aggregate_context()?;
    // SAFETY: states are ours, and of one type.
    unsafe {
        let other = &*other.cast_mut_ptr::<State>();
        let state = match arguments.datum(0) {
            Some(state) => state.cast_mut_ptr::<State>(),
            None => State::new(other.of, other.greatest, home),
        };
        let order = (*state).order(arguments, home)?;
        (*state).top.merge(&other.top, &order);
        Ok(Some(Datum::from(state)))
    }
}

/// `tviews.top_serialize(internal) RETURNS bytea`
fn serialize(arguments: &Arguments) -> Result<Option<Datum>> {
    // SAFETY: the state is ours.
    Ok(arguments.datum(0).map(|state| unsafe {
        let state = &*state.cast_mut_ptr::<State>();
        let mut bytes = state.of.to_u32().to_le_bytes().to_vec();
        bytes.push(u8::from(state.greatest));
        bytes.extend(state.plain().bytes(&state.top));
        varlena::of(&bytes)
    }))
}

/// `tviews.top_deserialize(bytea, internal) RETURNS internal`
fn deserialize(arguments: &Arguments) -> Result<Option<Datum>> {
    let Some(bytes) = arguments.datum(0) else { return Ok(None) };
    // SAFETY: `serialize` has made it; the state lives in the current memory context, as its caller has it.
    unsafe {
        let mut bytes = varlena::plain(bytes);
        let of = take(&mut bytes, 4).and_then(|of| of.try_into().ok()).map(u32::from_le_bytes);
        let greatest = take(&mut bytes, 1).map(|byte| byte[0] != 0);
        let (Some(of), Some(greatest)) = (of, greatest) else { return Err(broken()) };
        let state = State::new(pg_sys::Oid::from(of), greatest, pg_sys::CurrentMemoryContext);
        (*state).top = (*state).plain().read(bytes).ok_or_else(broken)?;
        Ok(Some(Datum::from(state)))
    }
}

fn broken() -> Error {
    Error::Internal("not the state of an aggregate".into())
}

impl State {
    /// # Safety
    /// The type exists; `home` is live.
    unsafe fn new(of: pg_sys::Oid, greatest: bool, home: pg_sys::MemoryContext) -> *mut State {
        // SAFETY: as the caller promises; as much memory as is written.
        unsafe {
            let (mut len, mut by_value) = (0, false);
            pg_sys::get_typlenbyval(of, &mut len, &mut by_value);
            let state = pg_sys::MemoryContextAlloc(home, size_of::<State>()).cast::<State>();
            state.write(State { top: Top::empty(nothing()), of, len, by_value, greatest });
            state
        }
    }

    /// For what needs no comparison, in the current memory context.
    fn plain(&self) -> Order {
        let State { len, by_value, greatest, .. } = *self;
        // SAFETY: there is always a current context.
        let home = unsafe { pg_sys::CurrentMemoryContext };
        let (compare, collation) = (std::ptr::null_mut(), pg_sys::InvalidOid);
        Order { greatest, compare, collation, by_value, len, home, frees: false }
    }

    /// For a call of a function, which remembers the comparison.
    fn order(&self, arguments: &Arguments, home: pg_sys::MemoryContext) -> Result<Order> {
        let compare = arguments.remembered(|| {
            // SAFETY: entries of the type cache are there for ever.
            unsafe {
                let entry = pg_sys::lookup_type_cache(self.of, pg_sys::TYPECACHE_CMP_PROC_FINFO as i32);
                let compare = &raw mut (*entry).cmp_proc_finfo;
                let none = (*compare).fn_oid == pg_sys::InvalidOid || self.len == -2;
                if none { std::ptr::null_mut() } else { compare }
            }
        });
        if compare.is_null() {
            let what = "values without an order have no extremum";
            return Err(Error::unsupported(what, -1, "Cast them to a type that has one."));
        }
        Ok(Order { compare, collation: arguments.collation(), home, frees: true, ..self.plain() })
    }
}
