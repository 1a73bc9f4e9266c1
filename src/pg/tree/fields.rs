//! The fields of the server's nodes, by the names that they have in C (nodes/primnodes.h, nodes/parsenodes.h).
//!
//! Invariant: a field is read and written in place, by copy, after the node's tag was looked at; no reference to a node is ever made, so that
//! two handles of one node cannot be in each other's way. Whatever a field points at lives as long as the node, see `Tree`.

// As in C, so that nobody has to translate.
#![allow(non_snake_case)]

use super::{Bits, Kind, List, Node, Text, Tree};
use pgrx::pg_sys::{self, NodeTag, NodeTag::*, Oid};
use std::ffi::c_char;

/// A value as a field keeps it.
trait Held<Raw>: Sized {
    /// # Safety
    /// `raw` is the field of a live node.
    unsafe fn of(raw: Raw) -> Self;
    fn into_raw(self) -> Raw;
}

impl<T> Held<T> for T {
    unsafe fn of(raw: T) -> T {
        raw
    }
    fn into_raw(self) -> T {
        self
    }
}

impl<T> Held<*mut T> for Tree<T> {
    unsafe fn of(raw: *mut T) -> Tree<T> {
        // SAFETY: nodes point at null or at live nodes.
        unsafe { Tree::new(raw) }
    }
    fn into_raw(self) -> *mut T {
        self.raw()
    }
}

impl Held<*mut pg_sys::Expr> for Node {
    unsafe fn of(raw: *mut pg_sys::Expr) -> Node {
        // SAFETY: nodes point at null or at live nodes.
        unsafe { Tree::new(raw.cast()) }
    }
    fn into_raw(self) -> *mut pg_sys::Expr {
        self.raw().cast()
    }
}

impl Held<*mut c_char> for Text {
    unsafe fn of(raw: *mut c_char) -> Text {
        // SAFETY: nodes point at null or at strings that live as long.
        unsafe { Text::new(raw) }
    }
    fn into_raw(self) -> *mut c_char {
        self.raw()
    }
}

impl Held<*mut pg_sys::Bitmapset> for Bits {
    unsafe fn of(raw: *mut pg_sys::Bitmapset) -> Bits {
        // SAFETY: nodes point at null or at sets that live as long.
        unsafe { Bits::new(raw) }
    }
    fn into_raw(self) -> *mut pg_sys::Bitmapset {
        self.raw()
    }
}

impl Held<c_char> for u8 {
    unsafe fn of(raw: c_char) -> u8 {
        raw as u8
    }
    fn into_raw(self) -> c_char {
        self as c_char
    }
}

/// `kind: tags { field, setter: type; … }`
macro_rules! nodes {
    ($($(#[$on:meta])* $kind:ident: $first:ident $(| $more:ident)* {
        $($(#[$has:meta])* $get:ident, $set:ident: $type:ty;)*
    })*) => {$(
        $(#[$on])*
        impl Kind for pg_sys::$kind {
            const TAG: NodeTag = $first;
            fn fits(tag: NodeTag) -> bool {
                matches!(tag, $first $(| $more)*)
            }
        }
        $(#[$on])*
        #[allow(dead_code)] // the fields there are, whoever asks
        impl Tree<pg_sys::$kind> {
            $(
                $(#[$has])*
                pub fn $get(self) -> $type {
                    // SAFETY: `place` is that of a live node of this kind.
                    unsafe { <$type as Held<_>>::of((*self.place()).$get) }
                }
                $(#[$has])*
                pub fn $set(self, value: $type) {
                    // SAFETY: as above; what is written is what such a field holds.
                    unsafe { (*self.place()).$get = <$type as Held<_>>::into_raw(value) }
                }
            )*
        }
    )*};
}

nodes! {
    Query: T_Query {
        commandType, set_commandType: pg_sys::CmdType::Type;
        querySource, set_querySource: pg_sys::QuerySource::Type;
        #[cfg(not(feature = "pg18"))]
        queryId, set_queryId: u64;
        #[cfg(feature = "pg18")]
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
        #[cfg(feature = "pg18")]
        hasGroupRTE, set_hasGroupRTE: bool;
    }
    Var: T_Var {
        varno, set_varno: i32;
        varattno, set_varattno: i16;
        vartype, set_vartype: Oid;
        vartypmod, set_vartypmod: i32;
        varcollid, set_varcollid: Oid;
        varlevelsup, set_varlevelsup: u32;
        varnosyn, set_varnosyn: u32;
        varattnosyn, set_varattnosyn: i16;
        location, set_location: i32;
        #[cfg(not(feature = "pg15"))]
        varnullingrels, set_varnullingrels: Bits;
    }
    Aggref: T_Aggref {
        aggfnoid, set_aggfnoid: Oid;
        aggtype, set_aggtype: Oid;
        aggcollid, set_aggcollid: Oid;
        inputcollid, set_inputcollid: Oid;
        aggargtypes, set_aggargtypes: List;
        aggdirectargs, set_aggdirectargs: List;
        args, set_args: List;
        aggorder, set_aggorder: List;
        aggdistinct, set_aggdistinct: List;
        aggfilter, set_aggfilter: Node;
        aggstar, set_aggstar: bool;
        aggvariadic, set_aggvariadic: bool;
        aggkind, set_aggkind: u8;
        agglevelsup, set_agglevelsup: u32;
        aggsplit, set_aggsplit: pg_sys::AggSplit::Type;
        aggno, set_aggno: i32;
        aggtransno, set_aggtransno: i32;
        location, set_location: i32;
    }
    JoinExpr: T_JoinExpr {
        jointype, set_jointype: pg_sys::JoinType::Type;
        isNatural, set_isNatural: bool;
        larg, set_larg: Node;
        rarg, set_rarg: Node;
        usingClause, set_usingClause: List;
        join_using_alias, set_join_using_alias: Tree<pg_sys::Alias>;
        quals, set_quals: Node;
        alias, set_alias: Tree<pg_sys::Alias>;
        rtindex, set_rtindex: i32;
    }
    RangeTblEntry: T_RangeTblEntry {
        rtekind, set_rtekind: pg_sys::RTEKind::Type;
        relid, set_relid: Oid;
        tablesample, set_tablesample: Tree<pg_sys::TableSampleClause>;
        subquery, set_subquery: Tree<pg_sys::Query>;
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
        #[cfg(feature = "pg18")]
        groupexprs, set_groupexprs: List;
    }
    SubLink: T_SubLink {
        subLinkType, set_subLinkType: pg_sys::SubLinkType::Type;
        testexpr, set_testexpr: Node;
        operName, set_operName: List;
        subselect, set_subselect: Node;
        location, set_location: i32;
    }
    OpExpr: T_OpExpr | T_DistinctExpr | T_NullIfExpr {
        opno, set_opno: Oid;
        opretset, set_opretset: bool;
        inputcollid, set_inputcollid: Oid;
        args, set_args: List;
        location, set_location: i32;
    }
    RangeTblRef: T_RangeTblRef {
        rtindex, set_rtindex: i32;
    }
    Const: T_Const {
        consttype, set_consttype: Oid;
        consttypmod, set_consttypmod: i32;
        constcollid, set_constcollid: Oid;
        constvalue, set_constvalue: pg_sys::Datum;
        constisnull, set_constisnull: bool;
        location, set_location: i32;
    }
    FromExpr: T_FromExpr {
        fromlist, set_fromlist: List;
        quals, set_quals: Node;
    }
    FuncExpr: T_FuncExpr {
        funcid, set_funcid: Oid;
        funcresulttype, set_funcresulttype: Oid;
        funcretset, set_funcretset: bool;
        funcformat, set_funcformat: pg_sys::CoercionForm::Type;
        funccollid, set_funccollid: Oid;
        inputcollid, set_inputcollid: Oid;
        args, set_args: List;
        location, set_location: i32;
    }
    TargetEntry: T_TargetEntry {
        expr, set_expr: Node;
        resno, set_resno: i16;
        resname, set_resname: Text;
        ressortgroupref, set_ressortgroupref: u32;
        resorigtbl, set_resorigtbl: Oid;
        resorigcol, set_resorigcol: i16;
        resjunk, set_resjunk: bool;
    }
    RelabelType: T_RelabelType {
        arg, set_arg: Node;
        resulttype, set_resulttype: Oid;
        resultcollid, set_resultcollid: Oid;
        location, set_location: i32;
    }
    BoolExpr: T_BoolExpr {
        boolop, set_boolop: pg_sys::BoolExprType::Type;
        args, set_args: List;
        location, set_location: i32;
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
    GroupingFunc: T_GroupingFunc {
        args, set_args: List;
        refs, set_refs: List;
        agglevelsup, set_agglevelsup: u32;
        location, set_location: i32;
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
    WindowFunc: T_WindowFunc {
        winfnoid, set_winfnoid: Oid;
        inputcollid, set_inputcollid: Oid;
        args, set_args: List;
        aggfilter, set_aggfilter: Node;
        winref, set_winref: u32;
        location, set_location: i32;
    }
    Param: T_Param {
        paramkind, set_paramkind: pg_sys::ParamKind::Type;
        paramid, set_paramid: i32;
        paramtype, set_paramtype: Oid;
        paramtypmod, set_paramtypmod: i32;
        paramcollid, set_paramcollid: Oid;
        location, set_location: i32;
    }
    WindowClause: T_WindowClause {
        name, set_name: Text;
        refname, set_refname: Text;
        partitionClause, set_partitionClause: List;
        orderClause, set_orderClause: List;
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
    #[cfg(not(feature = "pg15"))]
    JsonConstructorExpr: T_JsonConstructorExpr {
        args, set_args: List;
        func, set_func: Node;
        location, set_location: i32;
    }
    CoerceViaIO: T_CoerceViaIO {
        arg, set_arg: Node;
        resulttype, set_resulttype: Oid;
        resultcollid, set_resultcollid: Oid;
        location, set_location: i32;
    }
    CaseExpr: T_CaseExpr {
        casetype, set_casetype: Oid;
        casecollid, set_casecollid: Oid;
        arg, set_arg: Node;
        args, set_args: List;
        defresult, set_defresult: Node;
        location, set_location: i32;
    }
    CaseWhen: T_CaseWhen {
        expr, set_expr: Node;
        result, set_result: Node;
        location, set_location: i32;
    }
    ArrayExpr: T_ArrayExpr {
        array_typeid, set_array_typeid: Oid;
        array_collid, set_array_collid: Oid;
        element_typeid, set_element_typeid: Oid;
        elements, set_elements: List;
        multidims, set_multidims: bool;
        location, set_location: i32;
    }
    XmlExpr: T_XmlExpr {
        op, set_op: pg_sys::XmlExprOp::Type;
        name, set_name: Text;
        named_args, set_named_args: List;
        args, set_args: List;
        location, set_location: i32;
    }
    SQLValueFunction: T_SQLValueFunction {
        op, set_op: pg_sys::SQLValueFunctionOp::Type;
        location, set_location: i32;
    }
    RowExpr: T_RowExpr {
        args, set_args: List;
        row_typeid, set_row_typeid: Oid;
        row_format, set_row_format: pg_sys::CoercionForm::Type;
        colnames, set_colnames: List;
        location, set_location: i32;
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
    #[cfg(any(feature = "pg17", feature = "pg18"))]
    JsonExpr: T_JsonExpr {
        op, set_op: pg_sys::JsonExprOp::Type;
        format, set_format: Tree<pg_sys::JsonFormat>;
        wrapper, set_wrapper: pg_sys::JsonWrapper::Type;
        collation, set_collation: Oid;
        location, set_location: i32;
    }
    CreateTableAsStmt: T_CreateTableAsStmt {
        query, set_query: Node;
    }
    CollateExpr: T_CollateExpr {
        arg, set_arg: Node;
        collOid, set_collOid: Oid;
        location, set_location: i32;
    }
    ArrayCoerceExpr: T_ArrayCoerceExpr {
        arg, set_arg: Node;
        elemexpr, set_elemexpr: Node;
        resulttype, set_resulttype: Oid;
        resultcollid, set_resultcollid: Oid;
        location, set_location: i32;
    }
    CoalesceExpr: T_CoalesceExpr {
        coalescetype, set_coalescetype: Oid;
        coalescecollid, set_coalescecollid: Oid;
        args, set_args: List;
        location, set_location: i32;
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
    Alias: T_Alias {
        aliasname, set_aliasname: Text;
        colnames, set_colnames: List;
    }
    String: T_String {
        sval, set_sval: Text;
    }
    FieldSelect: T_FieldSelect {
        arg, set_arg: Node;
        resulttype, set_resulttype: Oid;
        resultcollid, set_resultcollid: Oid;
    }
    NullTest: T_NullTest {
        arg, set_arg: Node;
        nulltesttype, set_nulltesttype: pg_sys::NullTestType::Type;
        location, set_location: i32;
    }
    ScalarArrayOpExpr: T_ScalarArrayOpExpr {
        opno, set_opno: Oid;
        inputcollid, set_inputcollid: Oid;
        args, set_args: List;
        location, set_location: i32;
    }
    TableFunc: T_TableFunc {
        colnames, set_colnames: List;
        coltypes, set_coltypes: List;
        coltypmods, set_coltypmods: List;
        colcollations, set_colcollations: List;
        location, set_location: i32;
    }
    RawStmt: T_RawStmt {
        stmt, set_stmt: Node;
        stmt_location, set_stmt_location: i32;
        stmt_len, set_stmt_len: i32;
    }
    RangeVar: T_RangeVar {
        catalogname, set_catalogname: Text;
        schemaname, set_schemaname: Text;
        relname, set_relname: Text;
        location, set_location: i32;
    }
    LockingClause: T_LockingClause {
        lockedRels, set_lockedRels: List;
    }
    BooleanTest: T_BooleanTest {
        arg, set_arg: Node;
        booltesttype, set_booltesttype: pg_sys::BoolTestType::Type;
        location, set_location: i32;
    }
}
