//! ALTER TABLE of tables that TVIEWs read: partitions, inheritance, triggers, keys, row security.

use crate::build::redefine;
use crate::catalog::{self, wal};
use crate::hook::alter::{before, hold};
use crate::hook::call::Call;
use crate::hook::policies::policies_changed;
use crate::hook::{keys, life, named};
use crate::pg::error::Result;
#[cfg(feature = "since_17")]
use crate::pg::ext;
use crate::pg::list;
use pgrx::pg_sys;
use std::collections::BTreeSet;

/// Statements on other tables that change a TVIEW's contents without a captured write.
pub fn base_table(call: &mut Call, relid: pg_sys::Oid) -> Result<()> {
    // SAFETY: `call` holds the statement that the server is executing.
    unsafe {
        use pg_sys::AlterTableType::*;
        let stmt = (*call.pstmt).utilityStmt.cast::<pg_sys::AlterTableStmt>();
        let mut touched = BTreeSet::new();
        let (mut uniqueness, mut policies) = (false, false);
        #[allow(unused_mut)] // before 17 no command changes an expression
        let mut computed = BTreeSet::new();
        for cmd in list::iter::<pg_sys::AlterTableCmd>((*stmt).cmds) {
            let relevant = matches!(
                (*cmd).subtype,
                AT_AttachPartition
                    | AT_DetachPartition
                    | AT_DetachPartitionFinalize
                    | AT_AddInherit
                    | AT_DropInherit
                    | AT_EnableTrig
                    | AT_EnableTrigAll
                    | AT_EnableAlwaysTrig
                    | AT_EnableReplicaTrig
                    | AT_DisableTrig
                    | AT_DisableTrigAll
                    | AT_AlterColumnType
            );
            #[cfg(feature = "since_17")]
            let relevant = if (*cmd).subtype == AT_SetExpression {
                computed.extend(ext::find_all_inheritors(relid, pg_sys::NoLock as i32).iter().map(|r| r.to_u32()));
                true
            } else {
                relevant
            };
            // Its changes are not in WAL from here on.
            let relevant = relevant
                || (*cmd).subtype == AT_SetUnLogged
                    && life::bases_around(&BTreeSet::from([relid.to_u32()]))
                        .iter()
                        .any(|base| wal::captures(pg_sys::Oid::from(*base)));
            uniqueness |= matches!(
                (*cmd).subtype,
                AT_DropConstraint | AT_DropNotNull | AT_AlterConstraint | AT_AddInherit | AT_DropColumn
            );
            policies |= matches!(
                (*cmd).subtype,
                AT_EnableRowSecurity | AT_DisableRowSecurity | AT_ForceRowSecurity | AT_NoForceRowSecurity
            );
            // The owner of a table is exempt from its policies.
            policies |= (*cmd).subtype == AT_ChangeOwner && redefine::has_policies(relid);
            let columns = matches!((*cmd).subtype, AT_AddColumn | AT_DropColumn);
            if relevant || (columns && life::whole_row_is_read(relid)) {
                touched.insert(relid.to_u32());
                touched.extend(other_table(cmd));
            }
        }
        let mut around = touched.clone();
        around.insert(relid.to_u32());
        if life::bases_around(&around).is_empty() {
            return Ok(());
        }
        touched.extend(&computed);
        if uniqueness || policies || !touched.is_empty() {
            let own = pg_sys::AlterTableGetLockLevel((*stmt).cmds) as u32;
            if hold(call, named::Lock::Own(own)) != relid {
                // the name means another relation by now: once more from the start
                return before(call);
            }
        }
        if uniqueness {
            let mut relids = touched.clone();
            relids.insert(relid.to_u32());
            keys::remember(call, &relids)?;
        }
        if policies {
            touched.insert(relid.to_u32());
            call.then(move || policies_changed(&touched));
        } else if !touched.is_empty() {
            call.then(move || {
                life::tree_changed(&touched)?;
                if computed.is_empty() { Ok(()) } else { life::expression_changed(&computed) }
            });
        }
        Ok(())
    }
}

/// Whether a TVIEW, or one of its stages, reads a table with row security.
pub fn reads_policies(tview: pg_sys::Oid) -> bool {
    catalog::sources(|s| catalog::stages::root(s.tview) == tview).iter().any(|s| redefine::has_policies(s.relid))
}

/// The partition or parent that a command names.
///
/// # Safety
/// `cmd` is a live node of a tree of the server.
unsafe fn other_table(cmd: *mut pg_sys::AlterTableCmd) -> Option<u32> {
    // SAFETY: `cmd` is a live node of a tree of the server.
    unsafe {
        let def = (*cmd).def;
        let other = if list::is(def, pg_sys::NodeTag::T_PartitionCmd) {
            (*def.cast::<pg_sys::PartitionCmd>()).name
        } else if list::is(def, pg_sys::NodeTag::T_RangeVar) {
            def.cast::<pg_sys::RangeVar>()
        } else {
            return None;
        };
        let oid = named::find(other);
        (oid != pg_sys::InvalidOid).then(|| oid.to_u32())
    }
}
