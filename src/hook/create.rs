//! CREATE TVIEW, CREATE MATERIALIZED VIEW … WITH (incremental) | USING tview, CREATE TABLE … WITH (incremental) AS.
//!
//! Invariant: everything that can be refused is refused before the server creates anything. The server's own code makes
//! the materialized view WITH NO DATA; the steps that make it a TVIEW (sources, triggers, options, state, contents, key index)
//! follow in the same command.

use super::{convention, explained, named, replace};
use crate::analyze::query::{load, relations};
use crate::build::adopt::adopt;
use crate::build::check::check;
use crate::build::{advice, populate};
use crate::catalog::audit;
use crate::catalog::options::{self, Options};
use crate::hook::call::Call;
use crate::hook::create::advice::{advise, explain_full};
use crate::pg::error::{Error, Result};
use crate::pg::tree::Tree;
use crate::pg::{ext, guc, list};
use pgrx::pg_sys::{self};
use std::ffi::CStr;

/// The work to do when the server has created the materialized view.
pub struct Planned {
    relation: *mut pg_sys::RangeVar,
    pub options: Options,
    pub populate: bool,
    pub persistence: u8,
    pub query: *mut pg_sys::Query,
}

pub const TVIEW: &CStr = c"tview";
/// Namespace of the options that the syntax hook hands over (hook/syntax).
const MARKERS: &CStr = c"tviews";

/// Refuses statements in our syntax, in a database without the extension.
///
/// # Safety
/// `tree` is a live node of a tree of the server.
pub unsafe fn without_extension(tree: *mut pg_sys::Node) -> Result<()> {
    // SAFETY: `tree` is a live node of a tree of the server.
    unsafe {
        if !list::is(tree, pg_sys::NodeTag::T_CreateTableAsStmt) {
            return Ok(());
        }
        let into = (*tree.cast::<pg_sys::CreateTableAsStmt>()).into;
        let marked = list::iter::<pg_sys::DefElem>((*into).options).any(|d| is_marker(d));
        let named = !(*into).accessMethod.is_null() && CStr::from_ptr((*into).accessMethod) == TVIEW;
        if marked || named {
            return Err(Error::WrongState {
                what: "extension \"pg_tviews\" is not installed in this database".into(),
                hint: Some("Run CREATE EXTENSION pg_tviews first.".into()),
            });
        }
        Ok(())
    }
}

/// # Safety
/// `def` is a live node of a tree of the server.
unsafe fn is_marker(def: *mut pg_sys::DefElem) -> bool {
    // SAFETY: `def` is a live node of a tree of the server.
    unsafe { !(*def).defnamespace.is_null() && CStr::from_ptr((*def).defnamespace) == MARKERS }
}

/// Whether the statement creates a TVIEW, by options or access method.
///
/// # Safety
/// `stmt` is a live node of a tree of the server.
unsafe fn is_ours(stmt: *mut pg_sys::CreateTableAsStmt) -> bool {
    // SAFETY: `stmt` is a live node of a tree of the server.
    unsafe {
        let into = (*stmt).into;
        let method = (*into).accessMethod;
        let chosen = if method.is_null() {
            let default = pg_sys::default_table_access_method;
            !default.is_null() && CStr::from_ptr(default) == TVIEW
        } else {
            CStr::from_ptr(method) == TVIEW
        };
        let incremental = list::iter::<pg_sys::DefElem>((*into).options)
            .any(|d| (*d).defnamespace.is_null() && CStr::from_ptr((*d).defname) == c"incremental");
        match (*stmt).objtype {
            pg_sys::ObjectType::OBJECT_MATVIEW => chosen || (incremental && method.is_null()),
            pg_sys::ObjectType::OBJECT_TABLE => {
                method.is_null()
                    && list::is((*stmt).query, pg_sys::NodeTag::T_Query)
                    && !(*stmt).is_select_into
                    && (*(*into).rel).relpersistence as u8 != pg_sys::RELPERSISTENCE_TEMP
                    && (incremental || (names_options(stmt) && convention::has_prefix((*into).rel)))
            }
            _ => false,
        }
    }
}

/// Whether a statement gives options that only TVIEWs have.
///
/// # Safety
/// `stmt` is a live node.
pub unsafe fn names_options(stmt: *mut pg_sys::CreateTableAsStmt) -> bool {
    // SAFETY: `stmt` is a live node, as the caller promises.
    unsafe {
        list::iter::<pg_sys::DefElem>((*(*stmt).into).options)
            .any(|d| (*d).defnamespace.is_null() && options::is_ours(&CStr::from_ptr((*d).defname).to_string_lossy()))
    }
}

/// EXPLAIN ANALYZE executes its statement below the utility statement: a TVIEW made there would never be maintained.
pub fn explained(call: &mut Call) -> Result<()> {
    // SAFETY: `call` holds the statement that the server is executing.
    unsafe {
        let stmt = (*call.pstmt).utilityStmt.cast::<pg_sys::ExplainStmt>();
        let query = (*stmt).query;
        if !list::is(query, pg_sys::NodeTag::T_Query) {
            return Ok(());
        }
        let inner = (*query.cast::<pg_sys::Query>()).utilityStmt;
        let analyze = list::iter::<pg_sys::DefElem>((*stmt).options)
            .filter(|d| CStr::from_ptr((**d).defname) == c"analyze")
            .last()
            .is_some_and(|d| pg_sys::defGetBoolean(d));
        if analyze {
            explained::before(call);
        }
        if !analyze || !list::is(inner, pg_sys::NodeTag::T_CreateTableAsStmt) {
            return Ok(());
        }
        let inner = inner.cast::<pg_sys::CreateTableAsStmt>();
        if convention::asks(inner) {
            convention::explained(call, inner);
        }
        if is_ours(inner) {
            return Err(Error::unsupported(
                "EXPLAIN ANALYZE cannot create a TVIEW",
                -1,
                "Use EXPLAIN without ANALYZE, or EXPLAIN ANALYZE of the query alone.",
            ));
        }
        if is_plain_table(inner) {
            let stmt = call.own_tree::<pg_sys::ExplainStmt>();
            let inner = (*(*stmt).query.cast::<pg_sys::Query>()).utilityStmt.cast::<pg_sys::CreateTableAsStmt>();
            (*(*inner).into).accessMethod = pg_sys::pstrdup(c"heap".as_ptr());
        }
        Ok(())
    }
}

pub fn before(call: &mut Call) -> Result<()> {
    // SAFETY: `call` holds the statement that the server is executing.
    unsafe {
        let stmt = (*call.pstmt).utilityStmt.cast::<pg_sys::CreateTableAsStmt>();
        if convention::asks(stmt) {
            return convention::before(call);
        }
        if !is_ours(stmt) {
            return plain_table(call, stmt);
        }
        let mut markers = Options::new();
        for def in list::iter::<pg_sys::DefElem>((*(*stmt).into).options) {
            if is_marker(def) {
                let key = CStr::from_ptr((*def).defname).to_string_lossy().into_owned();
                markers.insert(key, options::value_of(def).unwrap_or_default());
            }
        }
        let replace = markers.get("or_replace").is_some_and(|v| v == "true");
        let stmt = call.own_tree::<pg_sys::CreateTableAsStmt>();
        let into = (*stmt).into;
        let (mut ours, rest) = options::split(without_markers((*into).options))?;
        ours.remove("incremental");
        ours.consistent()?;
        (*into).options = rest;
        (*into).rel = ext::copy((*into).rel);
        // Where the server is going to look and to create, also when a temporary table has the same name.
        let schema = pg_sys::RangeVarGetCreationNamespace((*into).rel);
        let label = (*(*into).rel).relname;
        let existing = || pg_sys::get_relname_relid(label, schema);
        if existing() != pg_sys::InvalidOid && !replace {
            // The server has its own message for an existing name, with or without IF NOT EXISTS.
            return Ok(());
        }
        if (*(*into).rel).relpersistence as u8 != pg_sys::RELPERSISTENCE_TEMP {
            (*(*into).rel).catalogname = std::ptr::null_mut();
            (*(*into).rel).schemaname = pg_sys::get_namespace_name(schema);
        }
        let unlogged_table = (*(*into).rel).relpersistence as u8 == pg_sys::RELPERSISTENCE_UNLOGGED;
        let by_default = !unlogged_table && !guc::UNLOGGED_BY_DEFAULT.get();
        let logged = ours.logged().or_else(|| markers.logged()).unwrap_or(by_default);
        ours.set_logged(logged);
        let persistence = if logged { pg_sys::RELPERSISTENCE_PERMANENT } else { pg_sys::RELPERSISTENCE_UNLOGGED };
        if (*(*into).rel).relpersistence as u8 == pg_sys::RELPERSISTENCE_TEMP {
            return Err(Error::unsupported("a TVIEW cannot be temporary", -1, "Leave out TEMPORARY."));
        }
        if !list::is((*stmt).query, pg_sys::NodeTag::T_Query) {
            return Err(Error::unsupported("a TVIEW cannot be made from EXECUTE", -1, "Write the query itself."));
        }
        let query = (*stmt).query.cast::<pg_sys::Query>();
        check(Tree::new(query), pg_sys::GetUserId(), !(*into).skipData, ours.refresh())?;
        (*stmt).objtype = pg_sys::ObjectType::OBJECT_MATVIEW;
        (*into).viewQuery = ext::copy(query).cast();
        (*into).accessMethod = pg_sys::pstrdup(TVIEW.as_ptr());
        (*(*into).rel).relpersistence = persistence as _;
        let populate = !(*into).skipData;
        (*into).skipData = true;
        default_fillfactor(into);
        let planned = Planned { relation: (*into).rel, options: ours, populate, persistence, query };
        if existing() != pg_sys::InvalidOid {
            call.done = true;
            // Tables are locked before the TVIEW itself, as by writers: they hold their table and want the TVIEW at commit.
            for relid in relations::of(load::expand(Tree::new(query))?).into_keys() {
                pg_sys::LockRelationOid(relid.into(), pg_sys::ShareRowExclusiveLock as i32);
            }
            let existing = named::hold(existing, named::Lock::WithSources);
            return replace::replace(existing, &planned, into, call.completion);
        }
        let completion = call.completion;
        call.then(move || after(&planned, completion));
        Ok(())
    }
}

/// Under default_table_access_method = tview, tables are still stored in heap.
///
/// # Safety
/// `stmt` is the statement of `call`.
pub unsafe fn plain_table(call: &mut Call, stmt: *mut pg_sys::CreateTableAsStmt) -> Result<()> {
    // SAFETY: `stmt` is the statement of `call`, as the caller promises.
    unsafe {
        if is_plain_table(stmt) {
            let stmt = call.own_tree::<pg_sys::CreateTableAsStmt>();
            (*(*stmt).into).accessMethod = pg_sys::pstrdup(c"heap".as_ptr());
        }
        Ok(())
    }
}

/// # Safety
/// `stmt` is a live node of a tree of the server.
unsafe fn is_plain_table(stmt: *mut pg_sys::CreateTableAsStmt) -> bool {
    // SAFETY: `stmt` is a live node of a tree of the server.
    unsafe {
        let default = pg_sys::default_table_access_method;
        (*stmt).objtype == pg_sys::ObjectType::OBJECT_TABLE
            && (*(*stmt).into).accessMethod.is_null()
            && !default.is_null()
            && CStr::from_ptr(default) == TVIEW
    }
}

/// # Safety
/// `defs` is null or a live list of nodes.
unsafe fn without_markers(defs: *mut pg_sys::List) -> *mut pg_sys::List {
    // SAFETY: `defs` is null or a live list of nodes.
    unsafe {
        let mut out: *mut pg_sys::List = std::ptr::null_mut();
        for def in list::iter::<pg_sys::DefElem>(defs) {
            if !is_marker(def) {
                out = pg_sys::lappend(out, def.cast());
            }
        }
        out
    }
}

/// Room for HOT updates.
///
/// # Safety
/// `into` is a live node of a tree of the server.
unsafe fn default_fillfactor(into: *mut pg_sys::IntoClause) {
    // SAFETY: `into` is a live node of a tree of the server.
    unsafe {
        let given = list::iter::<pg_sys::DefElem>((*into).options)
            .any(|d| (*d).defnamespace.is_null() && CStr::from_ptr((*d).defname) == c"fillfactor");
        if !given {
            let value = pg_sys::makeInteger(90);
            let def = pg_sys::makeDefElem(pg_sys::pstrdup(c"fillfactor".as_ptr()), value.cast(), -1);
            (*into).options = pg_sys::lappend((*into).options, def.cast());
        }
    }
}

/// # Safety
/// `completion` is what the server gave to its hook.
pub unsafe fn after(planned: &Planned, completion: *mut pg_sys::QueryCompletion) -> Result<()> {
    // SAFETY: `completion` is what the server gave to its hook.
    unsafe {
        pg_sys::CommandCounterIncrement();
        let oid =
            pg_sys::RangeVarGetRelidExtended(planned.relation, pg_sys::NoLock as i32, 0, None, std::ptr::null_mut());
        options::store(oid, &planned.options);
        adopt(oid)?;
        audit::note(audit::Operation::Create, oid);
        if planned.populate {
            let rows = populate::populate(oid, planned.persistence, true)?;
            report(completion, rows);
            explain_full(oid)?;
            advise(oid)?;
        }
        Ok(())
    }
}

/// "SELECT n", as the server says after CREATE MATERIALIZED VIEW with data; SPI relies on it.
///
/// # Safety
/// `completion` is what the server gave to its hook.
pub unsafe fn report(completion: *mut pg_sys::QueryCompletion, rows: u64) {
    // SAFETY: `completion` is what the server gave to its hook.
    unsafe {
        if !completion.is_null() {
            (*completion).commandTag = pg_sys::CommandTag::CMDTAG_SELECT;
            (*completion).nprocessed = rows;
        }
    }
}
