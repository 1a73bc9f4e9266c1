//! Turns the tree that the parser made of an overwritten header into the tree of the materialized view statement.
//!
//! Invariant: the result is a tree that `CREATE MATERIALIZED VIEW` and relatives could have produced, plus marks that the utility hook takes
//! off again: options in namespace `tviews` of CREATE, `concurrent` of DROP, an alias `tview` on the relation of ALTER and REFRESH.
//! Called by the parser detour, under a guard.

use std::ffi::{CStr, c_char};
use std::ptr;

use pgrx::pg_sys;
use tviews_core::syntax::{Header, Kind};

use pg_sys::NodeTag;
use pg_sys::ObjectType::{OBJECT_COLUMN, OBJECT_MATVIEW, OBJECT_TABLE};

type Conversion = Result<(), &'static CStr>;

/// Converts the statement that `header` was found in.
///
/// # Safety
/// `trees` is the parser's result for the text (of `length` bytes) that `header` was overwritten in.
pub unsafe fn statement(trees: *mut pg_sys::List, header: &Header, length: usize) -> Conversion {
    // SAFETY: `trees` is the parser's result for the text (of `length` bytes) that `header` was overwritten in, as the caller promises.
    unsafe {
        let Some(raw) = elements::<pg_sys::RawStmt>(trees).find(|&raw| contains(raw, header.word, length)) else {
            return Err(c"TVIEW statement is not allowed here");
        };
        // From 18 on a statement starts at its first token, which REFRESH has blanked.
        let lost = (*raw).stmt_location - header.first as i32;
        if lost > 0 {
            (*raw).stmt_location -= lost;
            if (*raw).stmt_len > 0 {
                (*raw).stmt_len += lost;
            }
        }
        match header.kind {
            Kind::Create { or_replace, logged } => create(unwrap_explain((*raw).stmt), or_replace, logged),
            Kind::Drop => drop_statement((*raw).stmt),
            Kind::Alter => alter((*raw).stmt),
            Kind::Comment => comment((*raw).stmt),
            Kind::Refresh { concurrently, skip_data } => refresh(&mut (*raw).stmt, concurrently, skip_data),
        }
    }
}

/// `CREATE UNLOGGED MATERIALIZED VIEW`, as pg_dump writes an unlogged TVIEW: parse analysis refuses unlogged materialized views, so the
/// persistence becomes our option when the view is going to be a TVIEW.
///
/// # Safety
/// `trees` is a result of the parser.
pub unsafe fn unlogged_matviews(trees: *mut pg_sys::List) {
    // SAFETY: `trees` is a result of the parser, as the caller promises.
    unsafe {
        for raw in elements::<pg_sys::RawStmt>(trees) {
            let Some(stmt) =
                node::<pg_sys::CreateTableAsStmt>(unwrap_explain((*raw).stmt), NodeTag::T_CreateTableAsStmt)
            else {
                continue;
            };
            let into = (*stmt).into;
            let rel = (*into).rel;
            if (*stmt).objtype == OBJECT_MATVIEW
                && (*rel).relpersistence as u8 == pg_sys::RELPERSISTENCE_UNLOGGED
                && becomes_tview(into)
            {
                (*rel).relpersistence = pg_sys::RELPERSISTENCE_PERMANENT as c_char;
                add_option(into, c"logged", false);
            }
        }
    }
}

/// # Safety
/// `stmt` is a live node of a tree of the server.
unsafe fn create(stmt: *mut pg_sys::Node, or_replace: bool, logged: Option<bool>) -> Conversion {
    // SAFETY: `stmt` is a live node of a tree of the server.
    unsafe {
        let Some(stmt) = node::<pg_sys::CreateTableAsStmt>(stmt, NodeTag::T_CreateTableAsStmt) else {
            return Err(c"CREATE TVIEW needs AS and a query");
        };
        let into = (*stmt).into;
        if (*into).onCommit != pg_sys::OnCommitAction::ONCOMMIT_NOOP {
            return Err(c"ON COMMIT is not supported by CREATE TVIEW");
        }
        if (*(*stmt).query).type_ == NodeTag::T_ExecuteStmt {
            return Err(c"EXECUTE is not supported by CREATE TVIEW");
        }
        (*stmt).objtype = OBJECT_MATVIEW;
        if (*into).accessMethod.is_null() {
            (*into).accessMethod = pg_sys::pstrdup(c"tview".as_ptr());
        } else if CStr::from_ptr((*into).accessMethod) != c"tview" {
            return Err(c"CREATE TVIEW stores its rows in the access method tview only");
        }
        if or_replace {
            add_option(into, c"or_replace", true);
        }
        if let Some(logged) = logged {
            add_option(into, c"logged", logged);
        }
        Ok(())
    }
}

/// # Safety
/// `stmt` is a live node of a tree of the server.
unsafe fn drop_statement(stmt: *mut pg_sys::Node) -> Conversion {
    // SAFETY: `stmt` is a live node of a tree of the server.
    unsafe {
        let Some(stmt) = node::<pg_sys::DropStmt>(stmt, NodeTag::T_DropStmt) else {
            return Err(c"this form of DROP TVIEW is not supported");
        };
        (*stmt).removeType = OBJECT_MATVIEW;
        (*stmt).concurrent = true;
        Ok(())
    }
}

/// # Safety
/// `stmt` is a live node of a tree of the server.
unsafe fn alter(stmt: *mut pg_sys::Node) -> Conversion {
    // SAFETY: `stmt` is a live node of a tree of the server.
    unsafe {
        const UNSUPPORTED: &CStr = c"this form of ALTER TVIEW is not supported";
        match (*stmt).type_ {
            NodeTag::T_AlterTableStmt => {
                let stmt = stmt.cast::<pg_sys::AlterTableStmt>();
                (*stmt).objtype = OBJECT_MATVIEW;
                mark((*stmt).relation);
            }
            NodeTag::T_RenameStmt => {
                let stmt = stmt.cast::<pg_sys::RenameStmt>();
                match (*stmt).renameType {
                    OBJECT_TABLE => (*stmt).renameType = OBJECT_MATVIEW,
                    OBJECT_COLUMN => (*stmt).relationType = OBJECT_MATVIEW,
                    _ => return Err(UNSUPPORTED),
                }
                mark((*stmt).relation);
            }
            NodeTag::T_AlterObjectSchemaStmt => {
                let stmt = stmt.cast::<pg_sys::AlterObjectSchemaStmt>();
                (*stmt).objectType = OBJECT_MATVIEW;
                mark((*stmt).relation);
            }
            NodeTag::T_AlterObjectDependsStmt => {
                (*stmt.cast::<pg_sys::AlterObjectDependsStmt>()).objectType = OBJECT_MATVIEW;
            }
            NodeTag::T_AlterTableMoveAllStmt => {
                (*stmt.cast::<pg_sys::AlterTableMoveAllStmt>()).objtype = OBJECT_MATVIEW;
            }
            _ => return Err(UNSUPPORTED),
        }
        Ok(())
    }
}

/// # Safety
/// `stmt` is a live node of a tree of the server.
unsafe fn comment(stmt: *mut pg_sys::Node) -> Conversion {
    // SAFETY: `stmt` is a live node of a tree of the server.
    unsafe {
        match node::<pg_sys::CommentStmt>(stmt, NodeTag::T_CommentStmt) {
            Some(stmt) if (*stmt).objtype == OBJECT_TABLE => {
                (*stmt).objtype = OBJECT_MATVIEW;
                Ok(())
            }
            _ => Err(c"this form of COMMENT ON TVIEW is not supported"),
        }
    }
}

/// The tree is that of `TABLE name`, i.e. `SELECT * FROM name`; anything that may follow `TABLE name` must be absent.
///
/// # Safety
/// `stmt` holds live nodes of one tree.
unsafe fn refresh(stmt: &mut *mut pg_sys::Node, concurrently: bool, skip_data: bool) -> Conversion {
    // SAFETY: `stmt` holds live nodes of one tree.
    unsafe {
        const UNSUPPORTED: &CStr = c"REFRESH TVIEW takes one name and WITH [NO] DATA";
        let Some(select) = node::<pg_sys::SelectStmt>(*stmt, NodeTag::T_SelectStmt) else {
            return Err(UNSUPPORTED);
        };
        let bare = (*select).op == pg_sys::SetOperation::SETOP_NONE
            && (*select).sortClause.is_null()
            && (*select).limitCount.is_null()
            && (*select).limitOffset.is_null()
            && (*select).lockingClause.is_null();
        let relation = elements::<pg_sys::Node>((*select).fromClause)
            .next()
            .and_then(|item| node::<pg_sys::RangeVar>(item, NodeTag::T_RangeVar));
        let (true, Some(relation)) = (bare, relation) else {
            return Err(UNSUPPORTED);
        };
        if !(*relation).inh {
            return Err(UNSUPPORTED);
        }
        let refresh = pg_sys::palloc0(size_of::<pg_sys::RefreshMatViewStmt>()).cast::<pg_sys::RefreshMatViewStmt>();
        (*refresh).type_ = NodeTag::T_RefreshMatViewStmt;
        (*refresh).concurrent = concurrently;
        (*refresh).skipData = skip_data;
        (*refresh).relation = relation;
        mark(relation);
        *stmt = refresh.cast();
        Ok(())
    }
}

/// Is this CREATE MATERIALIZED VIEW going to make a TVIEW?
///
/// # Safety
/// `into` is a live node of a tree of the server.
unsafe fn becomes_tview(into: *mut pg_sys::IntoClause) -> bool {
    // SAFETY: `into` is a live node of a tree of the server.
    unsafe {
        let incremental = elements::<pg_sys::DefElem>((*into).options)
            .any(|option| (*option).defnamespace.is_null() && CStr::from_ptr((*option).defname) == c"incremental");
        let chosen = (*into).accessMethod;
        let method = if chosen.is_null() { pg_sys::default_table_access_method } else { chosen };
        incremental || (!method.is_null() && CStr::from_ptr(method) == c"tview")
    }
}

/// Adds `tviews.<name> = true | false` to the options of the new view.
///
/// # Safety
/// `into` is a live node of a tree of the server.
unsafe fn add_option(into: *mut pg_sys::IntoClause, name: &CStr, value: bool) {
    // SAFETY: `into` is a live node of a tree of the server.
    unsafe {
        let text = if value { c"true" } else { c"false" };
        let option = pg_sys::makeDefElemExtended(
            pg_sys::pstrdup(c"tviews".as_ptr()),
            pg_sys::pstrdup(name.as_ptr()),
            pg_sys::makeString(pg_sys::pstrdup(text.as_ptr())).cast(),
            pg_sys::DefElemAction::DEFELEM_UNSPEC,
            -1,
        );
        (*into).options = pg_sys::lappend((*into).options, option.cast());
    }
}

/// Notes that the word TVIEW was used.
///
/// # Safety
/// `relation` is a live node of a tree of the server.
unsafe fn mark(relation: *mut pg_sys::RangeVar) {
    // SAFETY: `relation` is a live node of a tree of the server.
    unsafe {
        if !relation.is_null() {
            (*relation).alias = pg_sys::makeAlias(c"tview".as_ptr(), ptr::null_mut());
        }
    }
}

/// # Safety
/// `stmt` is a live node of a tree of the server.
unsafe fn unwrap_explain(stmt: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: `stmt` is a live node of a tree of the server.
    unsafe { node::<pg_sys::ExplainStmt>(stmt, NodeTag::T_ExplainStmt).map_or(stmt, |explain| (*explain).query) }
}

/// Does the statement's text include the byte at `offset`? A length of 0 means "to the end".
///
/// # Safety
/// `raw` is a live node of a tree of the server.
unsafe fn contains(raw: *mut pg_sys::RawStmt, offset: usize, length: usize) -> bool {
    // SAFETY: `raw` is a live node of a tree of the server.
    unsafe {
        let start = (*raw).stmt_location.max(0) as usize;
        let end = if (*raw).stmt_len == 0 { length } else { start + (*raw).stmt_len as usize };
        (start..end).contains(&offset)
    }
}

/// # Safety
/// `node` is a live node of a tree of the server.
unsafe fn node<T>(node: *mut pg_sys::Node, tag: NodeTag) -> Option<*mut T> {
    // SAFETY: `node` is a live node of a tree of the server.
    unsafe { (!node.is_null() && (*node).type_ == tag).then(|| node.cast()) }
}

/// # Safety
/// A List has `length` cells; the lists here hold pointers, and live as long as the statement.
unsafe fn elements<T>(list: *mut pg_sys::List) -> impl Iterator<Item = *mut T> {
    // SAFETY: a List has `length` cells; the lists here hold pointers, and live as long as the statement.
    unsafe {
        let length = if list.is_null() { 0 } else { (*list).length as usize };
        (0..length).map(move |i| (*(*list).elements.add(i)).ptr_value.cast())
    }
}
