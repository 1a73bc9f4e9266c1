//! Fields of expressions, and of the nodes of a FROM clause. Source: nodes/primnodes.h.

use super::{Held, nodes};
#[cfg(not(feature = "pg15"))]
use crate::pg::tree::Bits;
use crate::pg::tree::{Kind, List, Node, Text, Tree};
use pgrx::pg_sys::{self, NodeTag, NodeTag::*, Oid};

nodes! {
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
        funcvariadic, set_funcvariadic: bool;
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
    GroupingFunc: T_GroupingFunc {
        args, set_args: List;
        refs, set_refs: List;
        agglevelsup, set_agglevelsup: u32;
        location, set_location: i32;
    }
    WindowFunc: T_WindowFunc {
        winfnoid, set_winfnoid: Oid;
        wintype, set_wintype: Oid;
        winagg, set_winagg: bool;
        inputcollid, set_inputcollid: Oid;
        args, set_args: List;
        aggfilter, set_aggfilter: Node;
        winref, set_winref: u32;
        #[cfg(feature = "since_19")]
        ignore_nulls, set_ignore_nulls: i32;
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
    #[cfg(not(feature = "pg15"))]
    JsonConstructorExpr: T_JsonConstructorExpr {
        type_, set_type: pg_sys::JsonConstructorType::Type;
        coercion, set_coercion: Node;
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
    #[cfg(feature = "since_17")]
    JsonExpr: T_JsonExpr {
        op, set_op: pg_sys::JsonExprOp::Type;
        format, set_format: Tree<pg_sys::JsonFormat>;
        wrapper, set_wrapper: pg_sys::JsonWrapper::Type;
        collation, set_collation: Oid;
        location, set_location: i32;
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
    Alias: T_Alias {
        aliasname, set_aliasname: Text;
        colnames, set_colnames: List;
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
    RangeVar: T_RangeVar {
        catalogname, set_catalogname: Text;
        schemaname, set_schemaname: Text;
        relname, set_relname: Text;
        location, set_location: i32;
    }
    BooleanTest: T_BooleanTest {
        arg, set_arg: Node;
        booltesttype, set_booltesttype: pg_sys::BoolTestType::Type;
        location, set_location: i32;
    }
}
