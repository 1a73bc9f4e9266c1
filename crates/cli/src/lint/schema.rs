//! What the files say about tables, views, indexes and functions: the catalog that there is without a server.
//!
//! Invariant: statements count in the order of the files, as they would when they are run; what a statement leaves open (columns of a table LIKE
//! another one, say) makes the relation incomplete, and conclusions from it are guesses. Called by lint and convert.

pub use super::relation::{Column, Kind, Relation};
use super::relation::{constrain, key, set_not_null};
use crate::script::nodes::{last, string, strings, type_name};
use crate::script::{Script, Tree};
use pg_query::NodeEnum;
use pg_query::protobuf::{
    AlterTableStmt, AlterTableType, ConstrType, CreateStmt, IndexStmt, Node, ObjectType, RangeVar,
};
use std::collections::BTreeMap;

/// Schema and name.
pub type Name = (String, String);

/// What is known of a function of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Volatility {
    Immutable,
    Stable,
    Volatile,
}

#[derive(Debug, Clone, Copy)]
pub enum Routine {
    Function {
        volatility: Volatility,
        returns_set: bool,
    },
    /// Whether it has an inverse.
    Aggregate {
        folds: bool,
    },
}

#[derive(Default)]
pub struct Schema {
    pub relations: BTreeMap<Name, Relation>,
    pub routines: BTreeMap<String, Routine>,
    /// Where names without a schema are looked for, and made.
    path: Vec<String>,
}

impl Schema {
    pub fn new(scripts: &[Script]) -> Schema {
        let mut schema = Schema { path: vec!["public".into()], ..Schema::default() };
        for script in scripts {
            schema.path = vec!["public".into()];
            for statement in &script.statements {
                if let Ok(tree) = &statement.tree {
                    schema.take(tree);
                }
            }
        }
        schema
    }

    /// The name of what a statement makes.
    pub fn made(&self, name: &RangeVar) -> Name {
        let schema = if name.schemaname.is_empty() {
            self.path.first().cloned().unwrap_or_default()
        } else {
            name.schemaname.clone()
        };
        (schema, name.relname.clone())
    }

    /// The relation that is meant: by its schema, by the search_path, or the only one of that name.
    pub fn find(&self, schemaname: &str, relname: &str) -> Option<(&Name, &Relation)> {
        let get = |schema: &str| self.relations.get_key_value(&(schema.to_string(), relname.to_string()));
        if !schemaname.is_empty() {
            return get(schemaname);
        }
        self.path.iter().find_map(|s| get(s)).or_else(|| {
            let mut named = self.relations.iter().filter(|((_, n), _)| n == relname);
            named.next().filter(|_| named.next().is_none())
        })
    }

    fn find_mut(&mut self, name: &RangeVar) -> Option<&mut Relation> {
        let key = self.find(&name.schemaname, &name.relname)?.0.clone();
        self.relations.get_mut(&key)
    }

    fn take(&mut self, tree: &Tree) {
        match &tree.node {
            NodeEnum::CreateStmt(create) => self.table(create, Kind::Table),
            NodeEnum::CreateForeignTableStmt(create) => {
                if let Some(base) = &create.base_stmt {
                    self.table(base, Kind::Foreign);
                }
            }
            NodeEnum::CreateSeqStmt(create) => {
                if let Some(name) = &create.sequence {
                    let name = self.made(name);
                    self.relations.insert(name, Relation::new(Kind::Sequence));
                }
            }
            NodeEnum::ViewStmt(view) => {
                if let (Some(name), Some(NodeEnum::SelectStmt(query))) =
                    (&view.view, view.query.as_ref().and_then(|q| q.node.as_ref()))
                {
                    let (name, names) =
                        (self.made(name), strings(&view.aliases).into_iter().map(str::to_string).collect());
                    self.relations
                        .insert(name, Relation { query: Some((**query).clone()), names, ..Relation::new(Kind::View) });
                }
            }
            NodeEnum::CreateTableAsStmt(_) => self.create_as(tree),
            NodeEnum::IndexStmt(index) => self.index(index),
            NodeEnum::AlterTableStmt(alter) => self.alter(alter),
            NodeEnum::CreateFunctionStmt(create) => {
                let mut volatility = Volatility::Volatile;
                for option in &create.options {
                    if let Some(NodeEnum::DefElem(option)) = &option.node
                        && option.defname == "volatility"
                    {
                        volatility = match option.arg.as_deref().and_then(string) {
                            Some("immutable") => Volatility::Immutable,
                            Some("stable") => Volatility::Stable,
                            _ => Volatility::Volatile,
                        };
                    }
                }
                let returns_set = create.return_type.as_ref().is_some_and(|t| t.setof);
                self.routines.insert(last(&create.funcname).into(), Routine::Function { volatility, returns_set });
            }
            NodeEnum::DefineStmt(define) if define.kind == ObjectType::ObjectAggregate as i32 => {
                let inverse = |n: &Node| matches!(&n.node, Some(NodeEnum::DefElem(d)) if d.defname == "minvfunc");
                let folds = define.definition.iter().any(inverse);
                self.routines.insert(last(&define.defnames).into(), Routine::Aggregate { folds });
            }
            NodeEnum::DropStmt(drop) => {
                for object in &drop.objects {
                    if let Some(NodeEnum::List(list)) = &object.node {
                        let parts = strings(&list.items);
                        let found = match parts[..] {
                            [name] => self.find("", name),
                            [schema, name] => self.find(schema, name),
                            _ => None,
                        };
                        if let Some(name) = found.map(|(n, _)| n.clone()) {
                            self.relations.remove(&name);
                        }
                    }
                }
            }
            NodeEnum::VariableSetStmt(set) if set.name == "search_path" => {
                self.path = set
                    .args
                    .iter()
                    .filter_map(|a| match crate::script::nodes::constant(a)? {
                        crate::script::nodes::Constant::Text(t) if !t.is_empty() => Some(t),
                        _ => None,
                    })
                    .collect();
            }
            _ => {}
        }
    }

    fn table(&mut self, create: &CreateStmt, kind: Kind) {
        let Some(name) = &create.relation else { return };
        let kind = if name.relpersistence == "t" { Kind::Temporary } else { kind };
        let mut table = Relation::new(kind);
        table.complete = create.of_typename.is_none();
        table.has_children = create.partspec.is_some();
        for parent in &create.inh_relations {
            if let Some(NodeEnum::RangeVar(parent)) = &parent.node
                && let Some(parent) = self.find_mut(parent)
            {
                parent.has_children = true;
                table.columns.extend(parent.columns.iter().cloned());
                table.complete &= parent.complete;
                if create.partbound.is_some() {
                    table.keys.extend(parent.keys.iter().cloned());
                    table.indexed.extend(parent.indexed.iter().cloned());
                }
            } else {
                table.complete = false;
            }
        }
        let mut constraints = Vec::new();
        for element in &create.table_elts {
            match &element.node {
                Some(NodeEnum::ColumnDef(column)) => {
                    let of = column.type_name.as_ref().map(type_name);
                    let serial = column.type_name.as_ref().is_some_and(|t| last(&t.names).contains("serial"));
                    let mut made = Column {
                        name: column.colname.clone(),
                        of,
                        not_null: column.is_not_null || serial,
                        is_virtual: false,
                    };
                    for constraint in &column.constraints {
                        let Some(NodeEnum::Constraint(c)) = &constraint.node else { continue };
                        match ConstrType::try_from(c.contype) {
                            Ok(ConstrType::ConstrNotnull | ConstrType::ConstrIdentity) => made.not_null = true,
                            Ok(ConstrType::ConstrGenerated) => made.is_virtual = c.generated_kind == "v",
                            Ok(ConstrType::ConstrPrimary | ConstrType::ConstrUnique) => {
                                made.not_null |= c.contype == ConstrType::ConstrPrimary as i32;
                                constraints.push((vec![made.name.clone()], c.as_ref().clone()));
                            }
                            _ => {}
                        }
                    }
                    table.columns.push(made);
                }
                Some(NodeEnum::Constraint(c)) => {
                    constraints.push((strings(&c.keys).into_iter().map(str::to_string).collect(), c.as_ref().clone()))
                }
                Some(NodeEnum::TableLikeClause(like)) => {
                    let like = like.relation.as_ref().and_then(|r| self.find(&r.schemaname, &r.relname));
                    match like {
                        Some((_, like)) => table.columns.extend(like.columns.iter().cloned()),
                        None => table.complete = false,
                    }
                }
                _ => {}
            }
        }
        constraints.iter().for_each(|(columns, c)| constrain(&mut table, columns, c));
        let name = self.made(name);
        self.relations.insert(name, table);
    }

    fn create_as(&mut self, tree: &Tree) {
        let Some((create, query)) = tree.create_as() else { return };
        let Some(into) = &create.into else { return };
        let Some(name) = &into.rel else { return };
        let kind = made_as(tree).unwrap_or(if name.relpersistence == "t" { Kind::Temporary } else { Kind::Table });
        let names = strings(&into.col_names).into_iter().map(str::to_string).collect();
        let made = Relation { query: Some(query.clone()), names, complete: kind != Kind::Table, ..Relation::new(kind) };
        self.relations.insert(self.made(name), made);
    }

    fn index(&mut self, index: &IndexStmt) {
        let columns: Vec<Option<String>> = index
            .index_params
            .iter()
            .map(|p| match &p.node {
                Some(NodeEnum::IndexElem(e)) if !e.name.is_empty() => Some(e.name.clone()),
                _ => None,
            })
            .collect();
        let Some(table) = index.relation.as_ref().and_then(|r| self.find_mut(r)) else { return };
        let finds = matches!(index.access_method.as_str(), "btree" | "hash" | "") && index.where_clause.is_none();
        if let Some(Some(first)) = columns.first()
            && finds
        {
            table.indexed.push(first.clone());
        }
        let named: Option<Vec<String>> = columns.into_iter().collect();
        if let Some(named) = named
            && index.unique
            && finds
        {
            key(table, &named, index.nulls_not_distinct);
        }
    }

    fn alter(&mut self, alter: &AlterTableStmt) {
        for command in &alter.cmds {
            let Some(NodeEnum::AlterTableCmd(command)) = &command.node else { continue };
            if let Some(NodeEnum::PartitionCmd(partition)) = command.def.as_ref().and_then(|d| d.node.as_ref())
                && command.subtype == AlterTableType::AtAttachPartition as i32
                && let Some(parent) = alter.relation.as_ref().and_then(|r| self.find_mut(r))
            {
                parent.has_children = true;
                let (keys, indexed) = (parent.keys.clone(), parent.indexed.clone());
                if let Some(child) = partition.name.as_ref().and_then(|r| self.find_mut(r)) {
                    child.keys.extend(keys);
                    child.indexed.extend(indexed);
                }
                continue;
            }
            let Some(table) = alter.relation.as_ref().and_then(|r| self.find_mut(r)) else { return };
            let def = command.def.as_ref().and_then(|d| d.node.as_ref());
            match (AlterTableType::try_from(command.subtype), def) {
                (Ok(AlterTableType::AtAddConstraint), Some(NodeEnum::Constraint(c))) => {
                    let columns: Vec<String> = strings(&c.keys).into_iter().map(str::to_string).collect();
                    constrain(table, &columns, c);
                }
                (Ok(AlterTableType::AtAddColumn), Some(NodeEnum::ColumnDef(c))) => {
                    let not_null = |n: &Node| matches!(&n.node, Some(NodeEnum::Constraint(c)) if c.contype == ConstrType::ConstrNotnull as i32);
                    table.columns.push(Column {
                        name: c.colname.clone(),
                        of: c.type_name.as_ref().map(type_name),
                        not_null: c.constraints.iter().any(not_null),
                        is_virtual: false,
                    });
                }
                (Ok(AlterTableType::AtDropColumn), _) => {
                    // Positions of keys would move: it stays, under a name that nobody can write.
                    if let Some(at) = table.position(&command.name) {
                        table.keys.retain(|k| !k.contains(&at));
                        table.indexed.retain(|i| *i != command.name);
                        table.columns[at].name = String::new();
                    }
                }
                (Ok(AlterTableType::AtSetNotNull), _) => set_not_null(table, &command.name),
                (Ok(AlterTableType::AtAddIdentity), _) => set_not_null(table, &command.name),
                (Ok(AlterTableType::AtDropNotNull), _) => {
                    if let Some(at) = table.position(&command.name) {
                        table.columns[at].not_null = false;
                        table.complete = false;
                    }
                }
                (Ok(AlterTableType::AtAlterColumnType), Some(NodeEnum::ColumnDef(c))) => {
                    if let Some(at) = table.position(&command.name) {
                        table.columns[at].of = c.type_name.as_ref().map(type_name);
                    }
                }
                (Ok(AlterTableType::AtEnableRowSecurity | AlterTableType::AtForceRowSecurity), _) => {
                    table.row_security = true
                }
                (Ok(AlterTableType::AtDropConstraint), _) => table.complete = false,
                _ => {}
            }
        }
    }
}

/// What CREATE … AS makes, when it is no table.
pub fn made_as(tree: &Tree) -> Option<Kind> {
    let (create, _) = tree.create_as()?;
    let into = create.into.as_ref()?;
    let incremental =
        into.options.iter().any(|o| matches!(&o.node, Some(NodeEnum::DefElem(d)) if d.defname == "incremental"));
    if tree.tview.is_some() || into.access_method == "tview" || incremental {
        return Some(Kind::Tview);
    }
    if create.objtype == ObjectType::ObjectMatview as i32 {
        return Some(Kind::Matview);
    }
    let name = into.rel.as_ref()?;
    let usual = name.relname.starts_with("tv_") && name.relpersistence != "t" && into.access_method.is_empty();
    usual.then_some(Kind::Tview)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn schema(sql: &str) -> Schema {
        Schema::new(&[Script::new(Path::new("test.sql"), sql.into())])
    }

    #[test]
    fn keys_of_all_ways_to_write_them() {
        let s = schema(
            "CREATE TABLE a (id int PRIMARY KEY, u int UNIQUE, v int NOT NULL UNIQUE);
             CREATE TABLE app.b (x int, y int NOT NULL, PRIMARY KEY (x, y));
             CREATE TABLE c (id bigint NOT NULL, d date); ALTER TABLE ONLY public.c ADD CONSTRAINT c_pkey PRIMARY KEY (id);
             CREATE UNIQUE INDEX ON c (d) NULLS NOT DISTINCT; CREATE UNIQUE INDEX ON c (lower(d)); CREATE INDEX ON c USING gin (d);",
        );
        let keys = |schema, name| s.find(schema, name).unwrap().1.keys.clone();
        assert_eq!(keys("", "a"), [vec![0], vec![2]]);
        assert_eq!(keys("app", "b"), [vec![0, 1]]);
        assert_eq!(keys("", "c"), [vec![0], vec![1]]);
        assert_eq!(s.find("", "c").unwrap().1.indexed, ["id", "d"]);
    }

    #[test]
    fn partitions_and_search_path() {
        let s = schema(
            "SET search_path = app; CREATE TABLE p (id int, k int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
             CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (1) TO (2); CREATE TEMP TABLE x (a int);",
        );
        assert!(s.find("app", "p").unwrap().1.has_children);
        assert_eq!(s.find("", "p1").unwrap().1.keys, [vec![0]]);
        assert_eq!(s.find("", "x").unwrap().1.kind, Kind::Temporary);
    }
}
