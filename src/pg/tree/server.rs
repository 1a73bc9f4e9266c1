//! What the server says of nodes, and does to them, by the names that it has in C; and what its catalogs say of the OIDs in them.
//!
//! Invariant: each is safe for any live tree: what a function of the server asks beyond that is said, and checked here. An OID that
//! there is none of is an error of the server's, or the answer is that of its function for one.
//! Source: nodes/nodeFuncs.c, optimizer/util/clauses.c, rewrite/rewriteManip.c, utils/cache/lsyscache.c.

// As in C, so that nobody has to translate.
#![allow(non_snake_case)]

use super::{Bits, List, Node, Query, RangeTblEntry, TargetEntry, Text, Tree, list};
use crate::pg::{callees, deparse, ext, relation};
use pgrx::pg_sys::{self, Oid};
use std::collections::BTreeSet;

/// Functions of an expression that give a plain value.
macro_rules! of_expressions {
    ($($name:ident -> $type:ty;)*) => {$(
        pub fn $name(node: Node) -> $type {
            // SAFETY: null or a live expression.
            unsafe { pg_sys::$name(node.raw().cast()) }
        }
    )*};
}

of_expressions! {
    exprType -> Oid;
    exprTypmod -> i32;
    exprCollation -> Oid;
    exprInputCollation -> Oid;
    exprLocation -> i32;
    checkExprHasSubLink -> bool;
    expression_returns_set -> bool;
    contain_mutable_functions -> bool;
    contain_windowfuncs -> bool;
}

/// Look-ups in catalogs.
macro_rules! of_oids {
    ($($name:ident($($argument:ident: $of:ty),*) -> $type:ty;)*) => {$(
        pub fn $name($($argument: $of),*) -> $type {
            // SAFETY: a look-up in a system cache.
            unsafe { pg_sys::$name($($argument),*) as $type }
        }
    )*};
}

of_oids! {
    func_volatile(function: Oid) -> u8;
    func_strict(function: Oid) -> bool;
    getBaseType(typid: Oid) -> Oid;
    get_typtype(typid: Oid) -> u8;
    get_typ_typrelid(typid: Oid) -> Oid;
    get_typcollation(typid: Oid) -> Oid;
    get_element_type(typid: Oid) -> Oid;
    get_base_element_type(typid: Oid) -> Oid;
    get_range_subtype(typid: Oid) -> Oid;
    type_is_rowtype(typid: Oid) -> bool;
    type_is_range(typid: Oid) -> bool;
    get_collation_isdeterministic(collation: Oid) -> bool;
    op_mergejoinable(operator: Oid, typid: Oid) -> bool;
    op_hashjoinable(operator: Oid, typid: Oid) -> bool;
    op_in_opfamily(operator: Oid, family: Oid) -> bool;
    get_op_opfamily_strategy(operator: Oid, family: Oid) -> i32;
    get_opclass_family(class: Oid) -> Oid;
    get_opcode(operator: Oid) -> Oid;
    get_opfamily_member(family: Oid, left: Oid, right: Oid, strategy: i16) -> Oid;
    GetDefaultOpClass(typid: Oid, method: Oid) -> Oid;
    get_commutator(operator: Oid) -> Oid;
    get_func_nargs(function: Oid) -> i32;
    get_func_rettype(function: Oid) -> Oid;
    get_func_namespace(function: Oid) -> Oid;
    get_rel_relkind(relation: Oid) -> u8;
    get_attgenerated(relation: Oid, column: i16) -> u8;
}

pub fn equal(a: Node, b: Node) -> bool {
    // SAFETY: each is null or a live node.
    unsafe { pg_sys::equal(a.raw().cast(), b.raw().cast()) }
}

/// The terms of a condition; none for no condition.
pub fn make_ands_implicit(condition: Node) -> List {
    // SAFETY: null or a live condition.
    unsafe { Tree::new(pg_sys::make_ands_implicit(condition.raw().cast())) }
}

/// The condition that all of these are true; true when there are none.
pub fn make_ands_explicit(terms: List) -> Node {
    // SAFETY: a live list of conditions.
    unsafe { Tree::new(pg_sys::make_ands_explicit(terms.raw()).cast()) }
}

pub fn make_and_qual(a: Node, b: Node) -> Node {
    // SAFETY: each is null or a live condition.
    unsafe { Tree::new(pg_sys::make_and_qual(a.raw(), b.raw())) }
}

fn numbers(bits: *mut pg_sys::Bitmapset) -> BTreeSet<usize> {
    // SAFETY: a set that the server has just made.
    unsafe { Bits::new(bits) }.members().into_iter().map(|b| b as usize).collect()
}

/// Range table indexes of this level that an expression mentions, sub-queries in it included.
pub fn pull_varnos(node: Node) -> BTreeSet<usize> {
    // SAFETY: null or a live expression.
    numbers(unsafe { pg_sys::pull_varnos(std::ptr::null_mut(), node.raw().cast()) })
}

pub fn pull_varnos_of_level(node: Node, levels_up: i32) -> BTreeSet<usize> {
    // SAFETY: as above.
    numbers(unsafe { pg_sys::pull_varnos_of_level(std::ptr::null_mut(), node.raw().cast(), levels_up) })
}

/// Range table indexes for which a condition cannot be true when they are null-extended.
pub fn find_nonnullable_rels(condition: Node) -> BTreeSet<usize> {
    // SAFETY: as above.
    numbers(unsafe { pg_sys::find_nonnullable_rels(condition.raw()) })
}

pub fn pull_vars_of_level(node: Node, levels_up: i32) -> List {
    // SAFETY: as above.
    unsafe { Tree::new(pg_sys::pull_vars_of_level(node.raw().cast(), levels_up)) }
}

pub fn contain_vars_of_level(node: Node, levels_up: i32) -> bool {
    // SAFETY: as above.
    unsafe { pg_sys::contain_vars_of_level(node.raw().cast(), levels_up) }
}

pub fn contain_aggs_of_level(node: Node, levels_up: i32) -> bool {
    // SAFETY: as above.
    unsafe { pg_sys::contain_aggs_of_level(node.raw().cast(), levels_up) }
}

pub fn rangeTableEntry_used(node: Node, index: i32, levels_up: i32) -> bool {
    // SAFETY: as above.
    unsafe { pg_sys::rangeTableEntry_used(node.raw().cast(), index, levels_up) }
}

/// Gives the relations of a query numbers that are greater by `offset`, in place.
pub fn OffsetVarNodes(node: Node, offset: i32, levels_up: i32) {
    // SAFETY: as above.
    unsafe { pg_sys::OffsetVarNodes(node.raw().cast(), offset, levels_up) }
}

pub fn ChangeVarNodes(node: Node, from: i32, to: i32, levels_up: i32) {
    // SAFETY: as above.
    unsafe { pg_sys::ChangeVarNodes(node.raw().cast(), from, to, levels_up) }
}

pub fn IncrementVarSublevelsUp(node: Node, by: i32, from: i32) {
    // SAFETY: as above.
    unsafe { pg_sys::IncrementVarSublevelsUp(node.raw().cast(), by, from) }
}

/// The target that a clause refers to. An error of the server's when there is none.
pub fn get_sortgroupref_tle(reference: u32, targets: List) -> TargetEntry {
    // SAFETY: a live list of targets.
    unsafe { Tree::new(pg_sys::get_sortgroupref_tle(reference, targets.raw())) }
}

/// The entry of a query's range table, from 1.
pub fn rt_fetch(index: usize, query: Query) -> RangeTblEntry {
    list::nth(query.rtable(), index.wrapping_sub(1))
}

pub fn set_opfuncid(operator: Tree<pg_sys::OpExpr>) {
    operator.opno();
    // SAFETY: a live operator expression, as the line above has seen.
    unsafe { pg_sys::set_opfuncid(operator.raw()) }
}

/// Replaces Vars of join aliases by what they stand for.
pub fn flatten_join_aliases(query: Query, node: Node) -> Node {
    // SAFETY: a live query and a live expression of it.
    unsafe { Tree::new(ext::flatten_join_aliases(query.raw(), node.raw().cast()).cast()) }
}

/// Replaces Vars of the GROUP range table entry (18) by the grouping expressions.
pub fn flatten_groups(query: Query, node: Node) -> Node {
    // SAFETY: as above.
    unsafe { Tree::new(ext::flatten_groups(query.raw(), node.raw().cast()).cast()) }
}

/// The grouping sets of a query one by one, as lists of sort references.
pub fn expand_grouping_sets(sets: List, distinct: bool) -> List {
    // SAFETY: null or a live list of grouping sets.
    unsafe { Tree::new(ext::expand_grouping_sets(sets.raw(), distinct)) }
}

/// Columns of an entry of the range table that a query reads, as the parser has noted them.
pub fn selected_columns(query: Query, rte: RangeTblEntry) -> Vec<i16> {
    #[cfg(feature = "pg15")]
    let selected = {
        let _ = query;
        rte.selectedCols()
    };
    #[cfg(not(feature = "pg15"))]
    let selected = match rte.perminfoindex() {
        0 => Bits::null(),
        // SAFETY: an entry with permissions of a live query.
        _ => unsafe { Bits::new((*pg_sys::getRTEPermissionInfo(query.rteperminfos().raw(), rte.raw())).selectedCols) },
    };
    selected.members().into_iter().map(|m| (m + pg_sys::FirstLowInvalidHeapAttributeNumber) as i16).collect()
}

/// The text of a constant, in the form in which its type writes it; None for NULL.
pub fn output_of(constant: Tree<pg_sys::Const>) -> Option<String> {
    if constant.constisnull() {
        return None;
    }
    let function = output_function(constant.consttype());
    // SAFETY: a value of its type.
    unsafe { Some(Text::new(pg_sys::OidOutputFunctionCall(function, constant.constvalue())).to_string()) }
}

/// What the parser makes of a text: its statements.
pub fn raw_parser(text: Text) -> List {
    // SAFETY: ends with a NUL, and lives as long as the tree.
    unsafe { Tree::new(pg_sys::raw_parser(text.raw(), pg_sys::RawParseMode::RAW_PARSE_DEFAULT)) }
}

/// The query that a text of one statement is, after the hooks of parse analysis.
pub fn analyse(text: Text) -> Query {
    let statement: Tree<pg_sys::RawStmt> = list::first(raw_parser(text));
    let (none, args) = (std::ptr::null_mut(), std::ptr::null());
    // SAFETY: a live statement of the text.
    unsafe { Tree::new(pg_sys::parse_analyze_fixedparams(statement.raw(), text.raw(), args, 0, none)) }
}

/// The same without these hooks, which look at queries of users; `set_up` tells the parser what else it has to know.
pub fn transform(statement: Tree<pg_sys::RawStmt>, text: Text, set_up: impl FnOnce(*mut pg_sys::ParseState)) -> Query {
    // SAFETY: a live statement of the text; the state is freed once.
    let query: Query = unsafe {
        let state = pg_sys::make_parsestate(std::ptr::null_mut());
        (*state).p_sourcetext = text.raw();
        set_up(state);
        let query = pg_sys::transformTopLevelStmt(state, statement.raw());
        pg_sys::free_parsestate(state);
        Tree::new(query)
    };
    query.copy()
}

/// A name of a type, for messages.
pub fn format_type_be(typid: Oid) -> Text {
    // SAFETY: the server makes a string, whatever the type.
    unsafe { Text::new(pg_sys::format_type_be(typid)) }
}

/// The name of a type with its modifier and its schema.
pub fn qualified_type(typid: Oid, typmod: i32) -> Text {
    let flags = (pg_sys::FORMAT_TYPE_TYPEMOD_GIVEN | pg_sys::FORMAT_TYPE_FORCE_QUALIFY) as u16;
    // SAFETY: as above.
    unsafe { Text::new(pg_sys::format_type_extended(typid, typmod, flags)) }
}

pub fn generate_collation_name(collation: Oid) -> Text {
    // SAFETY: an existing collation; an error otherwise.
    unsafe { Text::new(pg_sys::generate_collation_name(collation)) }
}

/// The function by which a type is written.
pub fn output_function(typid: Oid) -> Oid {
    let (mut function, mut varlena) = (pg_sys::InvalidOid, false);
    // SAFETY: an existing type; an error otherwise.
    unsafe { pg_sys::getTypeOutputInfo(typid, &mut function, &mut varlena) };
    function
}

/// Type, modifier and collation of a column.
pub fn get_atttypetypmodcoll(relation: Oid, column: i16) -> (Oid, i32, Oid) {
    let (mut typid, mut typmod, mut collation) = (pg_sys::InvalidOid, -1, pg_sys::InvalidOid);
    // SAFETY: an existing column; an error otherwise.
    unsafe { pg_sys::get_atttypetypmodcoll(relation, column, &mut typid, &mut typmod, &mut collation) };
    (typid, typmod, collation)
}

/// A text of a query, see pg/deparse.rs.
pub fn text(query: Query) -> String {
    // SAFETY: a live query.
    unsafe { deparse::text(query.raw()) }
}

/// A text of a query, and the tree that it is the text of.
pub fn printed(query: Query) -> (Query, String) {
    // SAFETY: a live query; what is printed is a copy.
    unsafe {
        let (tree, text) = deparse::printed(query.raw());
        (Tree::new(tree), text)
    }
}

/// Functions that a node calls by itself, those of operators included.
pub fn functions_of(node: Node) -> Vec<Oid> {
    // SAFETY: null or a live node.
    unsafe { callees::functions_of(node.raw()) }
}

/// Operators that a node applies by itself.
pub fn operators_of(node: Node) -> Vec<Oid> {
    // SAFETY: null or a live node.
    unsafe { callees::operators_of(node.raw()) }
}

/// The expression that a generated column is computed from.
pub fn build_generation_expression(relation: &relation::Relation, column: i16) -> Node {
    // SAFETY: an open relation with such a column.
    unsafe { Tree::new(pg_sys::build_generation_expression(relation.raw(), i32::from(column))) }
}

/// What the type cache says of a type's own operators, 0 for those there are none of.
pub struct Operators {
    pub equal: Oid,
    pub less: Oid,
    pub greater: Oid,
    /// Its values can be compared.
    pub compares: bool,
    pub hash_family: Oid,
    /// They have a hash.
    pub hashes: bool,
}

pub fn operators(typid: Oid) -> Operators {
    let own = pg_sys::TYPECACHE_EQ_OPR | pg_sys::TYPECACHE_LT_OPR | pg_sys::TYPECACHE_GT_OPR;
    let functions = pg_sys::TYPECACHE_CMP_PROC_FINFO | pg_sys::TYPECACHE_HASH_PROC;
    let flags = (own | functions | pg_sys::TYPECACHE_HASH_OPFAMILY) as i32;
    // SAFETY: entries of the type cache stay.
    unsafe {
        let entry = pg_sys::lookup_type_cache(typid, flags);
        Operators {
            equal: (*entry).eq_opr,
            less: (*entry).lt_opr,
            greater: (*entry).gt_opr,
            compares: (*entry).cmp_proc_finfo.fn_oid != pg_sys::InvalidOid,
            hash_family: (*entry).hash_opf,
            hashes: (*entry).hash_proc != pg_sys::InvalidOid,
        }
    }
}

/// Null when there is no such function.
pub fn get_func_name(function: Oid) -> Text {
    // SAFETY: a look-up in a system cache; the name is a copy.
    unsafe { Text::new(pg_sys::get_func_name(function)) }
}

/// The types of a function's arguments.
pub fn get_func_signature(function: Oid) -> Vec<Oid> {
    let (mut types, mut count) = (std::ptr::null_mut(), 0);
    // SAFETY: the server gives as many types as it says.
    unsafe {
        pg_sys::get_func_signature(function, &mut types, &mut count);
        (0..count as usize).map(|i| *types.add(i)).collect()
    }
}

/// The role that a relation is read as; invalid when it is the one that runs the query.
pub fn read_as(query: Query, rte: RangeTblEntry) -> Oid {
    #[cfg(feature = "pg15")]
    {
        let _ = query;
        rte.checkAsUser()
    }
    #[cfg(not(feature = "pg15"))]
    {
        if rte.perminfoindex() == 0 {
            return pg_sys::InvalidOid;
        }
        // SAFETY: an entry with permissions of a live query.
        unsafe { (*pg_sys::getRTEPermissionInfo(query.rteperminfos().raw(), rte.raw())).checkAsUser }
    }
}

/// The function of this name with these arguments, 0 when there is none and that is no error.
pub fn LookupFuncName(names: List, arguments: &[Oid], missing_ok: bool) -> Oid {
    // SAFETY: a live list of names, and as many types as are said.
    unsafe { pg_sys::LookupFuncName(names.raw(), arguments.len() as i32, arguments.as_ptr(), missing_ok) }
}

/// The first elements of a list, as another list.
pub fn list_copy_head(list: List, number: usize) -> List {
    // SAFETY: null or a live list.
    unsafe { Tree::new(pg_sys::list_copy_head(list.raw(), number as i32)) }
}

/// The operator of this name between these types, 0 when there is none.
pub fn OpernameGetOprid(names: List, left: Oid, right: Oid) -> Oid {
    // SAFETY: a live list of names.
    unsafe { pg_sys::OpernameGetOprid(names.raw(), left, right) }
}

/// Whether a column of an entry of the range table is dropped.
pub fn get_rte_attribute_is_dropped(rte: RangeTblEntry, column: i16) -> bool {
    rte.rtekind();
    // SAFETY: a live entry, as the line above has seen; an error for columns that it does not have.
    unsafe { pg_sys::get_rte_attribute_is_dropped(rte.raw(), column) }
}

/// An expression as one of another type; null when no implicit cast makes it one.
pub fn implicit_cast(expr: Node, to: Oid, typmod: i32) -> Node {
    let (context, form) = (pg_sys::CoercionContext::COERCION_IMPLICIT, pg_sys::CoercionForm::COERCE_EXPLICIT_CAST);
    let (state, from) = (std::ptr::null_mut(), exprType(expr));
    // SAFETY: a live expression.
    unsafe { Tree::new(pg_sys::coerce_to_target_type(state, expr.raw(), from, to, typmod, context, form, -1)) }
}

/// The types that an operator takes.
pub fn op_input_types(operator: Oid) -> (Oid, Oid) {
    let (mut left, mut right) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
    // SAFETY: an existing operator; an error otherwise.
    unsafe { pg_sys::op_input_types(operator, &mut left, &mut right) };
    (left, right)
}
