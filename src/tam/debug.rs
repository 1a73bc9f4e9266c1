//! SQL entry points to the write paths, for tests of the access method alone. Only in builds with feature `pg_test`.

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::bulk::BulkWriter;
use super::write::{WriteResult, Writer};
use super::{state, storage};

/// Runs `query` and hands each row's values to `each`.
unsafe fn rows(query: &str, mut each: impl FnMut(&[pg_sys::Datum], &[bool])) {
    let text = std::ffi::CString::new(query).expect("no NUL");
    pg_sys::SPI_connect();
    let code = pg_sys::SPI_execute(text.as_ptr(), true, 0);
    assert!(code == pg_sys::SPI_OK_SELECT as i32, "a query with rows");
    let table = pg_sys::SPI_tuptable;
    let desc = (*table).tupdesc;
    let natts = (*desc).natts as usize;
    let (mut values, mut nulls) = (vec![pg_sys::Datum::from(0usize); natts], vec![false; natts]);
    for i in 0..pg_sys::SPI_processed as usize {
        pg_sys::heap_deform_tuple(*(*table).vals.add(i), desc, values.as_mut_ptr(), nulls.as_mut_ptr());
        each(&values, &nulls);
    }
    pg_sys::SPI_finish();
}

unsafe fn tid(datum: pg_sys::Datum) -> pg_sys::ItemPointerData {
    *datum.cast_mut_ptr::<pg_sys::ItemPointerData>()
}

/// `op`: insert (row), update (tid, row), delete (tid), bulk (row).
#[pg_extern]
fn tam_write(op: &str, relid: pg_sys::Oid, query: &str) -> i64 {
    let mut ok = 0;
    unsafe {
        if op == "bulk" {
            let rel = pg_sys::table_open(relid, pg_sys::AccessExclusiveLock as _);
            storage::replace_storage(rel, (*(*rel).rd_rel).relpersistence as u8);
            let mut writer = BulkWriter::open(rel);
            rows(query, |values, nulls| writer.insert(values, nulls));
            ok = writer.finish() as i64;
            storage::rebuild_indexes(relid, (*(*rel).rd_rel).relpersistence as u8);
            pg_sys::table_close(rel, pg_sys::NoLock as _);
            return ok;
        }
        let rel = pg_sys::table_open(relid, pg_sys::RowExclusiveLock as _);
        let mut writer = Writer::open(rel);
        rows(query, |values, nulls| {
            let result = match op {
                "insert" => {
                    writer.insert(values, nulls);
                    WriteResult::Ok
                }
                "update" => writer.update(tid(values[0]), &values[1..], &nulls[1..]),
                _ => writer.delete(tid(values[0])),
            };
            ok += i64::from(result == WriteResult::Ok);
        });
        writer.close();
        pg_sys::table_close(rel, pg_sys::NoLock as _);
    }
    ok
}

/// The state attributes of one row, as text; NULL when the row is not visible.
#[pg_extern]
fn tam_state(relid: pg_sys::Oid, tid_text: &str) -> Option<String> {
    unsafe {
        let rel = pg_sys::table_open(relid, pg_sys::RowExclusiveLock as _);
        let mut writer = Writer::open(rel);
        let (block, offset) = tid_text.trim_matches(['(', ')']).split_once(',').expect("a tid");
        let mut at = pg_sys::ItemPointerData::default();
        let block: u32 = block.parse().expect("block");
        at.ip_blkid.bi_hi = (block >> 16) as u16;
        at.ip_blkid.bi_lo = block as u16;
        at.ip_posid = offset.parse().expect("offset");
        let natts = writer.natts();
        let (mut values, mut nulls) = (vec![pg_sys::Datum::from(0usize); natts], vec![false; natts]);
        let snapshot = pg_sys::GetActiveSnapshot();
        let copy = writer.fetch(at, snapshot);
        let found = writer.fetch_values(at, snapshot, &mut values, &mut nulls);
        assert_eq!(copy.is_some(), found);
        let text = found.then(|| {
            let state: Vec<String> = state::state_attributes((*rel).rd_att)
                .iter()
                .map(|&n| n as usize - 1)
                .map(|i| if nulls[i] { "null".into() } else { (values[i].value() as i64).to_string() })
                .collect();
            state.join(",")
        });
        writer.close();
        pg_sys::table_close(rel, pg_sys::NoLock as _);
        text
    }
}

#[pg_extern]
fn tam_add_state(relid: pg_sys::Oid, count: i32) {
    unsafe {
        pg_sys::LockRelationOid(relid, pg_sys::AccessExclusiveLock as _);
        state::add_state_attributes(relid, count as usize);
    }
}

#[pg_extern]
fn tam_remove_state(relid: pg_sys::Oid) {
    unsafe {
        pg_sys::LockRelationOid(relid, pg_sys::AccessExclusiveLock as _);
        state::remove_state_attributes(relid);
    }
}

#[pg_extern]
fn tam_replace_storage(relid: pg_sys::Oid, persistence: &str) {
    unsafe {
        let rel = pg_sys::table_open(relid, pg_sys::AccessExclusiveLock as _);
        storage::replace_storage(rel, persistence.as_bytes()[0]);
        pg_sys::table_close(rel, pg_sys::NoLock as _);
    }
}

#[pg_extern]
fn tam_is_tview(relid: pg_sys::Oid) -> bool {
    unsafe {
        let rel = pg_sys::relation_open(relid, pg_sys::AccessShareLock as _);
        let (open, cached) = (super::is_tview_relation(rel), super::is_tview(relid));
        pg_sys::relation_close(rel, pg_sys::AccessShareLock as _);
        assert_eq!(open, cached);
        open
    }
}
