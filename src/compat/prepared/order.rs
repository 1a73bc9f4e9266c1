//! What the caller and the worker say to each other, in a segment of dynamic shared memory.
//!
//! Invariant: the caller writes the order before it asks for the worker; the worker writes the outcome last, and the caller reads it when the worker
//! has ended. Texts are cut to what there is room for. Source of the protocol: storage/dsm.h, access/transam/parallel.c.

use pgrx::pg_sys;
use std::ffi::CString;
use std::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::Release};

/// Length of the longest identifier of a transaction. Source: access/transam/twophase.c, GIDSIZE.
pub const GID: usize = 199;
const TEXT: usize = 1024;

const RUNNING: u32 = 0;
const FINISHED: u32 = 1;
const FAILED: u32 = 2;

#[derive(Clone, Copy)]
#[repr(C)]
struct Text {
    len: u32,
    bytes: [u8; TEXT],
}

impl Text {
    const NONE: Text = Text { len: 0, bytes: [0; TEXT] };

    fn new(text: &str) -> Text {
        let len = (0..=text.len().min(TEXT)).rev().find(|n| text.is_char_boundary(*n)).unwrap_or(0);
        let mut cut = Text { len: len as u32, ..Text::NONE };
        cut.bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
        cut
    }

    fn get(&self) -> Option<String> {
        let bytes = &self.bytes[..(self.len as usize).min(TEXT)];
        (!bytes.is_empty()).then(|| String::from_utf8_lossy(bytes).into_owned())
    }
}

#[repr(C)]
pub struct Order {
    gid: Text,
    pub commit: bool,
    pub user: pg_sys::Oid,
    pub database: pg_sys::Oid,
    state: AtomicU32,
    code: i32,
    message: Text,
    detail: Text,
    hint: Text,
}

pub enum Outcome {
    Unknown,
    Finished,
    Failed { code: i32, message: String, detail: Option<String>, hint: Option<String> },
}

impl Order {
    pub fn new(gid: &str, commit: bool, user: pg_sys::Oid, database: pg_sys::Oid) -> Order {
        let (gid, state) = (Text::new(gid), AtomicU32::new(RUNNING));
        Order { gid, commit, user, database, state, code: 0, message: Text::NONE, detail: Text::NONE, hint: Text::NONE }
    }

    pub fn gid(&self) -> CString {
        CString::new(self.gid.get().unwrap_or_default()).unwrap_or_default()
    }

    pub fn finished(&mut self) {
        self.state.store(FINISHED, Release);
    }

    pub fn failed(&mut self, code: i32, message: &str, detail: Option<&str>, hint: Option<&str>) {
        self.code = code;
        self.message = Text::new(message);
        self.detail = Text::new(detail.unwrap_or_default());
        self.hint = Text::new(hint.unwrap_or_default());
        self.state.store(FAILED, Release);
    }

    fn outcome(&self) -> Outcome {
        match self.state.load(Acquire) {
            FINISHED => Outcome::Finished,
            FAILED => Outcome::Failed {
                code: self.code,
                message: self.message.get().unwrap_or_default(),
                detail: self.detail.get(),
                hint: self.hint.get(),
            },
            _ => Outcome::Unknown,
        }
    }
}

/// A mapped segment with an order.
pub struct Segment(*mut pg_sys::dsm_segment);

/// The place of the order in a segment.
pub struct Place(*mut Order);

impl Segment {
    pub fn create() -> Segment {
        // SAFETY: inside of a query, whose resource owner unmaps the segment after an error.
        Segment(unsafe { pg_sys::dsm_create(size_of::<Order>(), 0) })
    }

    /// None when its creator has gone.
    pub fn attach(handle: pg_sys::dsm_handle) -> Option<Segment> {
        // SAFETY: any number may be tried.
        let segment = unsafe { pg_sys::dsm_attach(handle) };
        (!segment.is_null()).then_some(Segment(segment))
    }

    pub fn handle(&self) -> u32 {
        // SAFETY: mapped.
        unsafe { pg_sys::dsm_segment_handle(self.0) }
    }

    pub fn order(&self) -> Place {
        // SAFETY: mapped; the segment has the size of an order, and begins at a page.
        Place(unsafe { pg_sys::dsm_segment_address(self.0) }.cast())
    }

    pub fn detach(self) {
        // SAFETY: mapped, and not used afterwards.
        unsafe { pg_sys::dsm_detach(self.0) };
    }
}

impl Place {
    pub fn write(&self, order: Order) {
        // SAFETY: mapped, and nobody else's yet.
        unsafe { self.0.write(order) };
    }

    /// For the worker, which has it for itself while it runs.
    pub fn get(&mut self) -> &mut Order {
        // SAFETY: mapped until the process ends; the caller has written it and waits.
        unsafe { &mut *self.0 }
    }

    pub fn outcome(&self) -> Outcome {
        // SAFETY: mapped; the worker has ended.
        unsafe { (*self.0).outcome() }
    }
}
