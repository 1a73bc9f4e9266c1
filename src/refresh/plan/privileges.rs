//! Privileges that the owner of a TVIEW lacks: a flush needs the owner's SELECT on the relations that the query reads, EXECUTE on the functions
//! that it calls, and USAGE of the schemas in which SQL finds these by name.
//!
//! Invariant: lacking privileges are found before any part of the query is prepared or run, so that every flush reports them in the same words.
//! Only catalogs that everybody may read are read and shown, no rows. An owner found to lack nothing is not checked again until
//! a relation of the query, a role, a membership, a schema or a function changes.
//! Called by the flush, by population, and by monitoring.

use crate::analyze::query::{load, relations};
use crate::catalog::cache;
use crate::pg::error::{Error, Result};
use crate::pg::pinned::Pinned;
use crate::pg::process::process;
use crate::pg::relation::Relation;
use crate::pg::{acl, callees, name, walk};
use crate::tam;
use pgrx::pg_sys::{self, Oid};
use rustc_hash::FxHashSet;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// One privilege that an owner lacks.
pub struct Lack {
    privilege: &'static str,
    object: String,
    /// The GRANT that gives the privilege.
    pub grant: String,
}

impl Lack {
    /// `SELECT on table public.t`.
    pub fn what(&self) -> String {
        format!("{} on {}", self.privilege, self.object)
    }
}

/// TVIEWs whose owners lack nothing, at some state of the caches.
#[derive(Default)]
struct Complete {
    state: (u64, u64),
    tviews: FxHashSet<u32>,
}

process! {
    static COMPLETE: RefCell<Complete> = RefCell::new(Complete::default());
}

/// An error when the owner of a user's TVIEW lacks a privilege.
pub fn check(root: Oid) -> Result<()> {
    let state = (cache::generation(), cache::rights());
    let known = COMPLETE.with(|c| {
        let mut c = c.borrow_mut();
        if c.state != state {
            *c = Complete { state, tviews: FxHashSet::default() };
        }
        c.tviews.contains(&root.to_u32())
    });
    if known {
        return Ok(());
    }
    let lacking = lacking(root)?;
    let Some(first) = lacking.first() else {
        COMPLETE.with(|c| c.borrow_mut().tviews.insert(root.to_u32()));
        return Ok(());
    };
    let (owner, title) = (acl::owner_name(root), name::relation(root).unwrap_or_default());
    let others: Vec<String> = lacking[1..].iter().map(Lack::what).collect();
    let others = if others.is_empty() { String::new() } else { format!(" It also lacks {}.", others.join(", ")) };
    let grants: Vec<&str> = lacking.iter().map(|l| l.grant.as_str()).collect();
    Err(Error::Owner {
        what: format!(
            "permission denied for {}: role \"{owner}\", the owner of TVIEW {title}, lacks {}",
            first.object, first.privilege
        ),
        detail: format!("A TVIEW is maintained with the rights of its owner, whoever writes.{others}"),
        hint: format!("{}; or give the TVIEW another owner (ALTER TVIEW … OWNER TO …), or drop it.", grants.join("; ")),
    })
}

/// The privileges that the owner of a user's TVIEW lacks: on the schema `tviews`, the TVIEW, relations, operators and functions, in this order.
pub fn lacking(tview: Oid) -> Result<Vec<Lack>> {
    let Some(rel) = Relation::open(tview, pg_sys::AccessShareLock) else { return Ok(Vec::new()) };
    let owner = rel.class().relowner;
    let mut needed = Needed { owner, lacks: Vec::new(), schemas: BTreeSet::new() };
    cache::watch(tview);
    // SAFETY: private copies of the stored query; look-ups in system caches.
    unsafe {
        if pg_sys::superuser_arg(owner) {
            return Ok(Vec::new());
        }
        let _pinned = Pinned::new(owner);
        needed.schema(pg_sys::get_namespace_oid(c"tviews".as_ptr(), true));
        needed.select(tview, &BTreeSet::new());
        let stored = load::stored(&rel)?;
        let expanded = load::expand(stored)?;
        let used = relations::of(expanded);
        // before 16, the rule of a materialized view names the materialized view itself, too
        for relid in relations::named(stored).into_iter().filter(|r| !used.contains_key(r) && *r != tview.to_u32()) {
            needed.select(Oid::from(relid), &BTreeSet::new());
        }
        for (relid, usage) in &used {
            needed.select(Oid::from(*relid), &usage.columns);
        }
        let (mut functions, mut operators) = (BTreeSet::new(), BTreeSet::new());
        walk::walk(expanded.raw().cast(), &mut |node| {
            functions.extend(callees::functions_of(node).into_iter().map(Oid::to_u32));
            operators.extend(callees::operators_of(node).into_iter().map(Oid::to_u32));
            false
        });
        let of_users = |o: &u32| *o >= pg_sys::FirstNormalObjectId;
        operators.into_iter().filter(of_users).for_each(|o| needed.schema(acl::schema_of_operator(Oid::from(o))));
        functions.into_iter().filter(of_users).for_each(|f| needed.execute(Oid::from(f)));
    }
    Ok(needed.lacks)
}

struct Needed {
    owner: Oid,
    lacks: Vec<Lack>,
    schemas: BTreeSet<u32>,
}

impl Needed {
    fn lack(&mut self, privilege: &'static str, object: String, on: &str) {
        let grant = format!("GRANT {privilege} ON {on} TO {}", name::ident(&acl::role_name(self.owner)));
        self.lacks.push(Lack { privilege, object, grant });
    }

    fn schema(&mut self, schema: Oid) {
        if self.schemas.insert(schema.to_u32()) && !acl::may_use_schema(schema, self.owner) {
            let shown = name::ident(&acl::schema_name(schema));
            self.lack("USAGE", format!("schema {shown}"), &format!("SCHEMA {shown}"));
        }
    }

    /// The whole relation, or each of some columns.
    fn select(&mut self, relid: Oid, columns: &BTreeSet<i16>) {
        // SAFETY: look-ups in system caches, and on an open relation.
        unsafe {
            cache::watch(relid);
            let Some(rel) = Relation::open(relid, pg_sys::AccessShareLock) else { return };
            self.schema(pg_sys::get_rel_namespace(relid));
            if acl::may_select(relid, self.owner) {
                return;
            }
            let read = |i: usize| columns.contains(&0) || columns.contains(&(i as i16 + 1));
            let mut wanted = (0..rel.natts()).filter(|i| read(*i) && !rel.attribute(*i).attisdropped);
            if !columns.is_empty() && wanted.all(|i| acl::may_select_column(relid, i as i16 + 1, self.owner)) {
                return;
            }
            let kind = match rel.relkind() {
                pg_sys::RELKIND_VIEW => "view",
                pg_sys::RELKIND_MATVIEW if tam::is_tview_relation(&rel) => "TVIEW",
                _ => "table",
            };
            let shown = name::relation(relid).unwrap_or_default();
            self.lack("SELECT", format!("{kind} {shown}"), &shown);
        }
    }

    fn execute(&mut self, function: Oid) {
        // SAFETY: look-ups in system caches.
        unsafe {
            self.schema(pg_sys::get_func_namespace(function));
            if !acl::may_execute(function, self.owner) {
                let shown = name::function(function);
                self.lack("EXECUTE", format!("function {shown}"), &format!("FUNCTION {shown}"));
            }
        }
    }
}
