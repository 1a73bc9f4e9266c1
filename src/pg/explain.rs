//! The output of EXPLAIN, in all of its formats. Source: commands/explain.c (from 18 on explain_format.c).
//!
//! Invariant: groups are closed that were opened, so that the output is well formed; text of ours is escaped by the server.
//! Called by the hook that adds flushes.

use pgrx::pg_sys;
use std::ffi::{CStr, CString};

/// An EXPLAIN whose output is being written.
pub struct Output(*mut pg_sys::ExplainState);

impl Output {
    /// # Safety
    /// `es` is a live state whose output is not finished.
    pub unsafe fn new(es: *mut pg_sys::ExplainState) -> Output {
        Output(es)
    }

    pub fn shows_times(&self) -> bool {
        // SAFETY: live, as the maker promised.
        unsafe { (*self.0).timing }
    }

    pub fn is_text(&self) -> bool {
        // SAFETY: live, as the maker promised.
        unsafe { (*self.0).format == pg_sys::ExplainFormat::EXPLAIN_FORMAT_TEXT }
    }

    /// A line of format text.
    pub fn line(&self, line: &str) {
        let line = CString::new(format!("{line}\n")).unwrap_or_default();
        // SAFETY: live, as the maker promised; the text is copied.
        unsafe {
            pg_sys::appendStringInfoSpaces((*self.0).str_, (*self.0).indent * 2);
            pg_sys::appendStringInfoString((*self.0).str_, line.as_ptr());
        }
    }

    /// A list of groups, as a property of the group around it.
    pub fn list(&self, name: &CStr, inside: impl FnOnce()) {
        self.group(name, name.as_ptr(), false, inside);
    }

    /// A group of properties, as an element of a list.
    pub fn element(&self, name: &CStr, inside: impl FnOnce()) {
        self.group(name, std::ptr::null(), true, inside);
    }

    fn group(&self, name: &CStr, label: *const std::ffi::c_char, labeled: bool, inside: impl FnOnce()) {
        // SAFETY: live, as the maker promised; constant texts.
        unsafe { pg_sys::ExplainOpenGroup(name.as_ptr(), label, labeled, self.0) };
        inside();
        // SAFETY: as above.
        unsafe { pg_sys::ExplainCloseGroup(name.as_ptr(), label, labeled, self.0) };
    }

    pub fn text(&self, label: &CStr, value: &str) {
        let value = CString::new(value).unwrap_or_default();
        // SAFETY: live, as the maker promised; the text is copied.
        unsafe { pg_sys::ExplainPropertyText(label.as_ptr(), value.as_ptr(), self.0) };
    }

    pub fn count(&self, label: &CStr, value: u64) {
        // SAFETY: live, as the maker promised.
        unsafe { pg_sys::ExplainPropertyUInteger(label.as_ptr(), std::ptr::null(), value, self.0) };
    }

    /// Milliseconds.
    pub fn time(&self, label: &CStr, value: f64) {
        // SAFETY: live, as the maker promised.
        unsafe { pg_sys::ExplainPropertyFloat(label.as_ptr(), c"ms".as_ptr(), value, 3, self.0) };
    }
}

/// Before 18: the EXPLAIN ANALYZEs that are under way, with the text of their statement, which nothing that runs inside of them has.
#[cfg(not(feature = "since_18"))]
pub mod open {
    use crate::pg::process::process;
    use pgrx::pg_sys;
    use std::cell::RefCell;
    use std::ffi::c_char;
    use tviews_core::by_subxact::BySubxact;

    type Entry = (*mut pg_sys::ExplainState, *const c_char);

    process! {
        static OPEN: RefCell<BySubxact<Entry>> = const { RefCell::new(BySubxact::new()) };
    }

    pub fn begin(es: *mut pg_sys::ExplainState, text: *const c_char) {
        // SAFETY: plain getter.
        let level = unsafe { pg_sys::GetCurrentTransactionNestLevel() } as u32;
        OPEN.with_borrow_mut(|open| open.push(level, (es, text)));
    }

    pub fn end() {
        OPEN.with_borrow_mut(BySubxact::pop);
    }

    /// The EXPLAIN that executes the statement of this text, or null.
    pub fn of(text: *const c_char) -> *mut pg_sys::ExplainState {
        let entry = OPEN.with_borrow(|open| open.last().copied());
        entry.filter(|(_, of)| std::ptr::eq(*of, text)).map_or(std::ptr::null_mut(), |(es, _)| es)
    }

    /// Sub-transaction callbacks, see xact.rs.
    pub fn sub_commit(level: u32) {
        OPEN.with_borrow_mut(|open| open.release(level));
    }

    pub fn sub_abort(level: u32) {
        OPEN.with_borrow_mut(|open| open.abort(level, drop));
    }

    pub fn reset() {
        OPEN.with_borrow_mut(BySubxact::clear);
    }
}
