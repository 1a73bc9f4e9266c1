//! `tviews.jsonb_set_path`, `jsonb_array_insert`, `jsonb_array_update`, `jsonb_array_delete`: changes of a part of a document.
//!
//! Invariant: the result is, byte for byte, what the server makes of the same value; what a function leaves alone is copied, not read.
//! Called from SQL. The changes themselves: tviews_core::jsonb::path.

use crate::pg::error::{Error, Result};
use crate::pg::function::{Arguments, sql_function};
use crate::pg::varlena;
use pgrx::{FromDatum, direct_function_call, pg_sys};
use std::cmp::Ordering;
use tviews_core::jsonb::container::{Type, Value};
use tviews_core::jsonb::encode::{Node, encode};
use tviews_core::jsonb::path::{self, Failure};
use tviews_core::jsonb::{self};

sql_function!(tviews_jsonb_set_path, pg_finfo_tviews_jsonb_set_path, set_path);
sql_function!(tviews_jsonb_array_insert, pg_finfo_tviews_jsonb_array_insert, array_insert);
sql_function!(tviews_jsonb_array_update, pg_finfo_tviews_jsonb_array_update, array_update);
sql_function!(tviews_jsonb_array_delete, pg_finfo_tviews_jsonb_array_delete, array_delete);

/// The arguments that all of the functions have.
struct Call {
    target: pg_sys::Datum,
    steps: Vec<Option<String>>,
}

impl Call {
    fn of(arguments: &Arguments) -> Result<Call> {
        let none = || Error::Internal("an argument is NULL".into());
        let target = arguments.datum(0).ok_or_else(none)?;
        let given = arguments.datum(1).ok_or_else(none)?;
        // SAFETY: an array of text, of the function's declaration.
        unsafe {
            let array = pg_sys::pg_detoast_datum(given.cast_mut_ptr()).cast::<pg_sys::ArrayType>();
            if (*array).ndim > 1 {
                return Err(Error::Subscripts);
            }
            let steps = Vec::<Option<String>>::from_datum(array.into(), false).ok_or_else(none)?;
            Ok(Call { target, steps })
        }
    }

    fn document(&self) -> &[u8] {
        // SAFETY: a value of type jsonb, which lives as long as the call.
        unsafe { varlena::plain(self.target) }
    }

    fn path(&self) -> Vec<Option<&[u8]>> {
        self.steps.iter().map(|s| s.as_ref().map(String::as_bytes)).collect()
    }

    /// The result; the target, when nothing changed.
    fn result(&self, done: path::Result<Option<Vec<u8>>>) -> Result<Option<pg_sys::Datum>> {
        let parameter = |what: String| Error::option(what, None);
        match done {
            Ok(None) => Ok(Some(self.target)),
            Ok(Some(bytes)) => Ok(Some(varlena::of(&bytes))),
            Err(Failure::Scalar) => Err(parameter("cannot set path in scalar".into())),
            Err(Failure::NoArray) => Err(parameter("value at path is not an array".into())),
            Err(Failure::TooDeep) => Err(parameter("path has too many elements".into())),
            Err(Failure::NoKey) => Err(parameter("element has no value under the key".into())),
            Err(Failure::Null(at)) => Err(Error::NullStep(at)),
            Err(Failure::NoInteger(at)) => {
                Err(Error::NoInteger(at, self.steps.get(at - 1).cloned().flatten().unwrap_or_default()))
            }
            Err(Failure::Document(jsonb::Failure::TooLong)) => Err(Error::DocumentTooLong),
            Err(Failure::Document(_)) => Err(Error::Corrupted),
        }
    }
}

/// Argument `n`, a document, as bytes.
fn document(arguments: &Arguments, n: usize) -> Result<&[u8]> {
    let given = arguments.datum(n).ok_or_else(|| Error::Internal("an argument is NULL".into()))?;
    // SAFETY: a value of type jsonb, which lives as long as the call.
    Ok(unsafe { varlena::plain(given) })
}

fn value(arguments: &Arguments, n: usize) -> Result<Value<'_>> {
    Value::of_document(document(arguments, n)?).map_err(|_| Error::Corrupted)
}

fn text(arguments: &Arguments, n: usize) -> String {
    arguments.get(n).unwrap_or_default()
}

/// The server's order of jsonb; values of the same bytes are equal.
fn compare(a: Value, b: Value) -> Ordering {
    if a == b && a.kind != Type::Container {
        return Ordering::Equal;
    }
    let made = |of: Value| encode(&Node::Stored(of), of.bytes.len() + 16).map(|bytes| varlena::of(&bytes));
    match (made(a), made(b)) {
        // SAFETY: two values of type jsonb.
        (Ok(a), Ok(b)) => unsafe { direct_function_call::<i32>(pg_sys::jsonb_cmp, &[Some(a), Some(b)]) }
            .map_or(Ordering::Equal, |order| order.cmp(&0)),
        _ => Error::DocumentTooLong.raise(),
    }
}

/// `(target, path, value, create_if_missing)`
fn set_path(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let call = Call::of(arguments)?;
    let create = arguments.get(3).unwrap_or(true);
    call.result(path::set(call.document(), &call.path(), value(arguments, 2)?, create))
}

/// `(target, path, element)`, `(target, path, element, key, descending)`
fn array_insert(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let call = Call::of(arguments)?;
    let key = arguments.get::<String>(3);
    let order = key.as_ref().map(|key| (key.as_bytes(), arguments.get(4).unwrap_or(false)));
    call.result(path::insert(call.document(), &call.path(), value(arguments, 2)?, order, &mut compare))
}

/// `(target, path, key, key_value, element)`
fn array_update(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let call = Call::of(arguments)?;
    let (key, wanted, element) = (text(arguments, 2), value(arguments, 3)?, value(arguments, 4)?);
    call.result(path::replace(call.document(), &call.path(), key.as_bytes(), wanted, Some(element), &mut compare))
}

/// `(target, path, key, key_value)`
fn array_delete(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let call = Call::of(arguments)?;
    let (key, wanted) = (text(arguments, 2), value(arguments, 3)?);
    call.result(path::replace(call.document(), &call.path(), key.as_bytes(), wanted, None, &mut compare))
}
