//! A destination of a query's rows that is a Rust closure: rows are looked at one by one and not kept.
//!
//! Invariant: no panic passes a frame of the executor. A panic of the closure becomes the server's error again where the executor has called, as
//! it was raised; the error ends the query as any error in it does. Source: tcop/dest.h.
//! Called by spi.

use super::{original, reserve, slot};
use pgrx::{pg_guard, pg_sys};

type Look<'a> = &'a mut dyn FnMut(&[pg_sys::Datum], &[bool]);

#[repr(C)]
pub struct Receiver<'a> {
    base: pg_sys::DestReceiver,
    look: Look<'a>,
}

impl<'a> Receiver<'a> {
    pub fn new(look: Look<'a>) -> Receiver<'a> {
        let base = pg_sys::DestReceiver {
            receiveSlot: Some(receive),
            rStartup: Some(startup),
            rShutdown: Some(shutdown),
            rDestroy: Some(shutdown),
            // not DestNone: SPI would take the query for one whose rows nobody wants
            mydest: pg_sys::CommandDest::DestTuplestore,
        };
        Receiver { base, look }
    }

    /// The destination for the server, valid while `self` stays where it is.
    pub fn raw(&mut self) -> *mut pg_sys::DestReceiver {
        &raw mut self.base
    }
}

unsafe extern "C-unwind" fn receive(row: *mut pg_sys::TupleTableSlot, own: *mut pg_sys::DestReceiver) -> bool {
    // SAFETY: `row` is a slot of the caller; `own` is what the server gave to its hook.
    unsafe {
        original::rethrow(look(row, own));
        true
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn look(
    row: *mut pg_sys::TupleTableSlot,
    own: *mut pg_sys::DestReceiver,
) -> *mut pg_sys::ErrorData {
    // SAFETY: `row` is a slot of the caller; `own` is what the server gave to its hook.
    unsafe {
        let receiver = &mut *own.cast::<Receiver>();
        original::carry(|| {
            reserve::check();
            let (values, nulls) = slot::all(row);
            (receiver.look)(values, nulls);
        })
    }
}

unsafe extern "C-unwind" fn startup(_own: *mut pg_sys::DestReceiver, _operation: i32, _desc: pg_sys::TupleDesc) {}

unsafe extern "C-unwind" fn shutdown(_own: *mut pg_sys::DestReceiver) {}
