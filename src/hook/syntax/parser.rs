//! The function that every query string goes through instead of the server's `raw_parser`.
//!
//! Invariant: a text without a TVIEW statement reaches the server's parser as it is, and so does the text behind a token that the scanner cannot
//! read. Nothing here reads a catalog: strings are parsed in failed transactions, too. Called by PostgreSQL.

use std::ffi::{CStr, c_char};

use pgrx::pg_sys;
use pgrx::prelude::*;
use tviews_core::syntax::{Header, may_concern_tviews, overwrite, place_analyze};

use super::complaint::{Complaint, raise};
use super::jump::server_parser;
use super::{rewrite, scan};
use crate::pg::callback::{Frame, Ready};

/// No destructors here or in [`parse`]: PostgreSQL's errors jump over both frames.
///
/// # Safety
/// As for the server's `raw_parser`.
pub unsafe extern "C-unwind" fn raw_parser(text: *const c_char, mode: pg_sys::RawParseMode::Type) -> *mut pg_sys::List {
    // SAFETY: As for the server's `raw_parser`, as the caller promises.
    unsafe {
        if mode == pg_sys::RawParseMode::RAW_PARSE_DEFAULT && may_concern_tviews(CStr::from_ptr(text).to_bytes()) {
            return parse(text, mode);
        }
        server_parser(text, mode)
    }
}

#[cold]
unsafe extern "C-unwind" fn parse(text: *const c_char, mode: pg_sys::RawParseMode::Type) -> *mut pg_sys::List {
    // SAFETY: `text` ends with a NUL.
    unsafe {
        let tokens = scan::tokens(text);
        let prepared = prepare(text, tokens);
        let trees = server_parser(prepared.text, mode);
        let complaint = convert(text, trees, prepared);
        if !complaint.message.is_null() {
            raise(text, complaint);
        }
        trees
    }
}

/// The text to parse and the TVIEW statements in it; memory of the current context.
#[derive(Clone, Copy)]
#[repr(C)]
struct Prepared {
    text: *const c_char,
    headers: *const Header,
    count: usize,
}

#[pg_guard]
unsafe extern "C-unwind" fn prepare(text: *const c_char, tokens: scan::Tokens) -> Prepared {
    let mut frame = Frame::new();
    let _ready = Ready::with(&mut frame);
    // SAFETY: `text` ends with a NUL.
    unsafe {
        let unchanged = Prepared { text, headers: std::ptr::null(), count: 0 };
        if tokens.count == 0 {
            return unchanged;
        }
        let bytes = CStr::from_ptr(text).to_bytes();
        let mut copy = bytes.to_vec();
        let tokens = std::slice::from_raw_parts(tokens.offsets, tokens.count);
        let headers = overwrite(&mut copy, tokens);
        if !place_analyze(&mut copy, tokens) && headers.is_empty() {
            return unchanged;
        }
        let parsed = pg_sys::palloc0(copy.len() + 1).cast::<u8>();
        std::ptr::copy_nonoverlapping(copy.as_ptr(), parsed, copy.len());
        let kept = pg_sys::palloc0(size_of_val(headers.as_slice())).cast::<Header>();
        std::ptr::copy_nonoverlapping(headers.as_ptr(), kept, headers.len());
        Prepared { text: parsed.cast(), headers: kept, count: headers.len() }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn convert(text: *const c_char, trees: *mut pg_sys::List, prepared: Prepared) -> Complaint {
    let mut frame = Frame::new();
    let _ready = Ready::with(&mut frame);
    // SAFETY: `text` ends with a NUL; `trees` is null or a live list of nodes.
    unsafe {
        let headers =
            if prepared.count == 0 { &[] } else { std::slice::from_raw_parts(prepared.headers, prepared.count) };
        for header in headers {
            if let Err(message) = rewrite::statement(trees, header, CStr::from_ptr(text).count_bytes()) {
                return Complaint { message: message.as_ptr(), offset: header.word as i32 };
            }
        }
        rewrite::unlogged_matviews(trees);
        Complaint::NONE
    }
}
