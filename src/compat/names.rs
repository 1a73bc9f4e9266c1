//! Names as users of the interface write them: `post`, `tv_post`, `schema.tv_post`.
//!
//! Invariant: a name is read as SQL reads one, with quotes, folding to lower case and the caller's search_path. An entity's TVIEW, `tv_post`,
//! comes before a TVIEW that is called `post` itself.

use crate::pg::error::{Error, Result};
use crate::pg::name;
use crate::tam;
use pgrx::{IntoDatum, pg_sys};
use std::ffi::{CStr, CString};

pub const PREFIX: &str = "tv_";

/// A name, not looked up.
struct Written {
    var: *mut pg_sys::RangeVar,
}

impl Written {
    /// Raises the server's error for what is no name.
    fn read(text: &str) -> Written {
        let text = text.into_datum().unwrap_or(pg_sys::Datum::from(0usize)).cast_mut_ptr::<pg_sys::varlena>();
        // SAFETY: a text value; list and node live in the current memory context.
        Written { var: unsafe { pg_sys::makeRangeVarFromNameList(pg_sys::textToQualifiedNameList(text)) } }
    }

    fn label(&self) -> String {
        // SAFETY: a live node, whose name is a C string.
        unsafe { CStr::from_ptr((*self.var).relname).to_string_lossy().into_owned() }
    }

    /// The same name with the prefix of TVIEWs, cut to the length of names with the server's NOTICE.
    fn prefixed(&self) -> Written {
        let label = self.label();
        if label.starts_with(PREFIX) {
            return Written { var: self.var };
        }
        let label = CString::new(format!("{PREFIX}{label}")).unwrap_or_default();
        // SAFETY: a copy of a live node, with a name of its own.
        unsafe {
            let var = pg_sys::copyObjectImpl(self.var.cast()).cast::<pg_sys::RangeVar>();
            (*var).relname = pg_sys::pstrdup(label.as_ptr());
            pg_sys::truncate_identifier((*var).relname, label.as_bytes().len() as i32, true);
            Written { var }
        }
    }

    /// The relation of this name; 0 when there is none.
    fn find(&self) -> pg_sys::Oid {
        let flags = pg_sys::RVROption::RVR_MISSING_OK;
        // SAFETY: a live node.
        unsafe { pg_sys::RangeVarGetRelidExtended(self.var, pg_sys::NoLock as i32, flags, None, std::ptr::null_mut()) }
    }
}

/// The TVIEW that a name means.
pub fn tview(text: &str) -> Result<pg_sys::Oid> {
    let written = Written::read(text);
    let entity = written.prefixed();
    let found = [entity.find(), written.find()];
    let exist = || found.into_iter().filter(|oid| *oid != pg_sys::InvalidOid);
    if let Some(oid) = exist().find(|oid| tam::is_tview(*oid)) {
        return Ok(oid);
    }
    match exist().next() {
        Some(oid) => Err(Error::NotATview(name::bare(oid))),
        None => Err(Error::NoTview(entity.label())),
    }
}

/// The relation that a name means, with the prefix or as it is written.
pub fn relation(text: &str) -> Result<pg_sys::Oid> {
    let written = Written::read(text);
    let entity = written.prefixed();
    let found = [entity.find(), written.find()].into_iter().find(|oid| *oid != pg_sys::InvalidOid);
    found.ok_or_else(|| Error::NoTview(entity.label()))
}

/// Where a TVIEW of this name is, or is to be made.
pub struct Place {
    /// Qualified and quoted.
    pub name: String,
    /// What has the name now.
    pub taken_by: Option<pg_sys::Oid>,
}

pub fn place(text: &str) -> Place {
    let entity = Written::read(text).prefixed();
    // SAFETY: a live node; the schema exists, or the server raises its error.
    let (schema, existing) = unsafe {
        let schema = pg_sys::RangeVarGetCreationNamespace(entity.var);
        (pg_sys::get_namespace_name(schema), pg_sys::get_relname_relid((*entity.var).relname, schema))
    };
    // SAFETY: null for a schema that is gone, or a C string.
    let schema = if schema.is_null() { c"" } else { unsafe { CStr::from_ptr(schema) } };
    let name = format!("{}.{}", name::ident(&schema.to_string_lossy()), name::ident(&entity.label()));
    Place { name, taken_by: (existing != pg_sys::InvalidOid).then_some(existing) }
}
