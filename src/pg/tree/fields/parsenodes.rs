//! Fields of queries, their clauses, and statements. Source: nodes/parsenodes.h.

use super::{Held, nodes};
use crate::pg::tree::{Bits, Kind, List, Node, Text, Tree};
use pgrx::pg_sys::{self, NodeTag, NodeTag::*, Oid};

nodes! {
    Query: T_Query {
        commandType, set_commandType: pg_sys::CmdType::Type;
        querySource, set_querySource: pg_sys::QuerySource::Type;
        #[cfg(not(feature = "since_18"))]
        queryId, set_queryId: u64;
        #[cfg(feature = "since_18")]
        queryId, set_queryId: i64;
        canSetTag, set_canSetTag: bool;
        isReturn, set_isReturn: bool;
        hasModifyingCTE, set_hasModifyingCTE: bool;
        hasForUpdate, set_hasForUpdate: bool;
        hasAggs, set_hasAggs: bool;
        hasWindowFuncs, set_hasWindowFuncs: bool;
        hasTargetSRFs, set_hasTargetSRFs: bool;
        hasSubLinks, set_hasSubLinks: bool;
        hasDistinctOn, set_hasDistinctOn: bool;
        hasRecursive, set_hasRecursive: bool;
        hasRowSecurity, set_hasRowSecurity: bool;
        cteList, set_cteList: List;
        rtable, set_rtable: List;
        jointree, set_jointree: Tree<pg_sys::FromExpr>;
        targetList, set_targetList: List;
        groupClause, set_groupClause: List;
        groupDistinct, set_groupDistinct: bool;
        groupingSets, set_groupingSets: List;
        havingQual, set_havingQual: Node;
        windowClause, set_windowClause: List;
        distinctClause, set_distinctClause: List;
        sortClause, set_sortClause: List;
        limitOffset, set_limitOffset: Node;
        limitCount, set_limitCount: Node;
        limitOption, set_limitOption: pg_sys::LimitOption::Type;
        rowMarks, set_rowMarks: List;
        setOperations, set_setOperations: Node;
        constraintDeps, set_constraintDeps: List;
        stmt_location, set_stmt_location: i32;
        stmt_len, set_stmt_len: i32;
        #[cfg(not(feature = "pg15"))]
        rteperminfos, set_rteperminfos: List;
        #[cfg(feature = "since_18")]
        hasGroupRTE, set_hasGroupRTE: bool;
    }
    RangeTblEntry: T_RangeTblEntry {
        rtekind, set_rtekind: pg_sys::RTEKind::Type;
        relid, set_relid: Oid;
        tablesample, set_tablesample: Tree<pg_sys::TableSampleClause>;
        subquery, set_subquery: Tree<pg_sys::Query>;
        security_barrier, set_security_barrier: bool;
        jointype, set_jointype: pg_sys::JoinType::Type;
        joinaliasvars, set_joinaliasvars: List;
        joinmergedcols, set_joinmergedcols: i32;
        joinleftcols, set_joinleftcols: List;
        joinrightcols, set_joinrightcols: List;
        join_using_alias, set_join_using_alias: Tree<pg_sys::Alias>;
        functions, set_functions: List;
        funcordinality, set_funcordinality: bool;
        tablefunc, set_tablefunc: Tree<pg_sys::TableFunc>;
        values_lists, set_values_lists: List;
        ctename, set_ctename: Text;
        ctelevelsup, set_ctelevelsup: u32;
        self_reference, set_self_reference: bool;
        coltypes, set_coltypes: List;
        coltypmods, set_coltypmods: List;
        colcollations, set_colcollations: List;
        alias, set_alias: Tree<pg_sys::Alias>;
        eref, set_eref: Tree<pg_sys::Alias>;
        relkind, set_relkind: u8;
        #[cfg(feature = "pg15")]
        checkAsUser, set_checkAsUser: Oid;
        lateral, set_lateral: bool;
        inh, set_inh: bool;
        inFromCl, set_inFromCl: bool;
        #[cfg(feature = "pg15")]
        selectedCols, set_selectedCols: Bits;
        securityQuals, set_securityQuals: List;
        #[cfg(not(feature = "pg15"))]
        perminfoindex, set_perminfoindex: u32;
        #[cfg(feature = "since_18")]
        groupexprs, set_groupexprs: List;
    }
    SetOperationStmt: T_SetOperationStmt {
        op, set_op: pg_sys::SetOperation::Type;
        all, set_all: bool;
        larg, set_larg: Node;
        rarg, set_rarg: Node;
        colTypes, set_colTypes: List;
        colTypmods, set_colTypmods: List;
        colCollations, set_colCollations: List;
    }
    CTECycleClause: T_CTECycleClause {
        cycle_col_list, set_cycle_col_list: List;
        cycle_mark_column, set_cycle_mark_column: Text;
        cycle_mark_value, set_cycle_mark_value: Node;
        cycle_mark_default, set_cycle_mark_default: Node;
        cycle_path_column, set_cycle_path_column: Text;
        cycle_mark_type, set_cycle_mark_type: Oid;
        cycle_mark_typmod, set_cycle_mark_typmod: i32;
        cycle_mark_collation, set_cycle_mark_collation: Oid;
        cycle_mark_neop, set_cycle_mark_neop: Oid;
    }
    CommonTableExpr: T_CommonTableExpr {
        ctename, set_ctename: Text;
        aliascolnames, set_aliascolnames: List;
        ctequery, set_ctequery: Node;
        search_clause, set_search_clause: Tree<pg_sys::CTESearchClause>;
        cycle_clause, set_cycle_clause: Tree<pg_sys::CTECycleClause>;
        location, set_location: i32;
        cterecursive, set_cterecursive: bool;
        cterefcount, set_cterefcount: i32;
        ctecolnames, set_ctecolnames: List;
        ctecoltypes, set_ctecoltypes: List;
        ctecoltypmods, set_ctecoltypmods: List;
        ctecolcollations, set_ctecolcollations: List;
    }
    WindowClause: T_WindowClause {
        name, set_name: Text;
        refname, set_refname: Text;
        partitionClause, set_partitionClause: List;
        orderClause, set_orderClause: List;
        frameOptions, set_frameOptions: i32;
        startOffset, set_startOffset: Node;
        endOffset, set_endOffset: Node;
        winref, set_winref: u32;
        copiedOrder, set_copiedOrder: bool;
    }
    SelectStmt: T_SelectStmt {
        lockingClause, set_lockingClause: List;
        distinctClause, set_distinctClause: List;
        targetList, set_targetList: List;
        fromClause, set_fromClause: List;
        groupClause, set_groupClause: List;
        groupDistinct, set_groupDistinct: bool;
        windowClause, set_windowClause: List;
        sortClause, set_sortClause: List;
        limitOffset, set_limitOffset: Node;
        limitCount, set_limitCount: Node;
        limitOption, set_limitOption: pg_sys::LimitOption::Type;
        op, set_op: pg_sys::SetOperation::Type;
        all, set_all: bool;
        larg, set_larg: Tree<pg_sys::SelectStmt>;
        rarg, set_rarg: Tree<pg_sys::SelectStmt>;
    }
    RangeTblFunction: T_RangeTblFunction {
        funcexpr, set_funcexpr: Node;
        funccolcount, set_funccolcount: i32;
        funcparams, set_funcparams: Bits;
    }
    RangeTableSample: T_RangeTableSample {
        args, set_args: List;
        location, set_location: i32;
    }
    TableSampleClause: T_TableSampleClause {
        args, set_args: List;
    }
    CreateTableAsStmt: T_CreateTableAsStmt {
        query, set_query: Node;
    }
    SortGroupClause: T_SortGroupClause {
        tleSortGroupRef, set_tleSortGroupRef: u32;
        eqop, set_eqop: Oid;
        sortop, set_sortop: Oid;
        nulls_first, set_nulls_first: bool;
    }
    GroupingSet: T_GroupingSet {
        kind, set_kind: pg_sys::GroupingSetKind::Type;
        content, set_content: List;
        location, set_location: i32;
    }
    String: T_String {
        sval, set_sval: Text;
    }
    RawStmt: T_RawStmt {
        stmt, set_stmt: Node;
        stmt_location, set_stmt_location: i32;
        stmt_len, set_stmt_len: i32;
    }
    LockingClause: T_LockingClause {
        lockedRels, set_lockedRels: List;
    }
}
