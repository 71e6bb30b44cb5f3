//! The steps from one set of tables to another, as calls of Alembic.
//!
//! Changed tables go through batch mode with their full definition, because SQLite rebuilds a table to change it and
//! would otherwise forget its CHECK constraints.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::python;
use super::sql::quoted;
use super::tables::{Check, Column, ColumnKind, ForeignKey, Key, Snapshot, Table};

/// By table and column, SQL of a value that existing rows may be given.
pub(super) type Neutral = BTreeMap<(String, String), String>;

/// The body of `upgrade` or `downgrade`.
#[derive(Default)]
pub(super) struct Steps {
    pub(super) lines: Vec<String>,
    /// What a person should know before it is applied.
    pub(super) notes: Vec<String>,
    /// Definitions of changed tables as they are before these steps.
    pub(super) tables: Vec<Value>,
    /// True when a table must be empty.
    pub(super) guarded: bool,
}

/// The steps from `before` to `after`; `suffix` ends the names of the helper functions.
pub(super) fn steps(before: &Snapshot, after: &Snapshot, neutral: &Neutral, suffix: &str) -> Steps {
    let mut steps = Steps::default();
    let find = |tables: &[Table], name: &str| tables.iter().position(|table| table.name == name);
    let mut there: BTreeSet<&str> = before.tables.iter().map(|table| table.name.as_str()).collect();
    let mut late: Vec<(&Table, &ForeignKey)> = Vec::new();
    for table in after.tables.iter().filter(|table| find(&before.tables, &table.name).is_none()) {
        there.insert(&table.name);
        late.extend(create(table, &there, &mut steps));
    }
    if !late.is_empty() {
        steps.lines.push("if op.get_context().dialect.name != \"sqlite\":".to_owned());
        for (table, key) in &late {
            steps.lines.push(format!("    op.create_foreign_key({})", foreign_key_arguments(table, key)));
        }
    }
    for table in &after.tables {
        if let Some(old) = find(&before.tables, &table.name).map(|number| &before.tables[number])
            && !same(old, table)
        {
            change(old, table, neutral, suffix, &mut steps);
        }
    }
    let dropped: Vec<&Table> = before.tables.iter().filter(|table| find(&after.tables, &table.name).is_none()).collect();
    drop_tables(&dropped, &mut steps);
    if steps.lines.is_empty() {
        steps.lines.push("pass".to_owned());
    }
    steps
}

/// True when the tables are equal, whatever the order of their parts.
fn same(one: &Table, other: &Table) -> bool {
    let sorted = |table: &Table| {
        let mut parts: Vec<String> = [json!(table.primary_key)].iter().map(ToString::to_string).collect();
        parts.extend(table.columns.iter().map(|part| json!(part).to_string()));
        parts.extend(table.uniques.iter().map(|part| json!(part).to_string()));
        parts.extend(table.checks.iter().map(|part| json!(part).to_string()));
        parts.extend(table.foreign_keys.iter().map(|part| json!(part).to_string()));
        parts.extend(table.indexes.iter().map(|part| json!(part).to_string()));
        parts.sort();
        parts
    };
    sorted(one) == sorted(other)
}

fn create<'t>(table: &'t Table, there: &BTreeSet<&str>, steps: &mut Steps) -> Vec<(&'t Table, &'t ForeignKey)> {
    let mut late = Vec::new();
    steps.lines.push("op.create_table(".to_owned());
    steps.lines.push(format!("    \"{}\",", table.name));
    steps.lines.extend(parts(table, false, &mut |key| {
        let alter = !there.contains(key.table.as_str());
        if alter {
            late.push(key.name.clone());
        }
        alter
    }));
    steps.lines.push(")".to_owned());
    steps
        .lines
        .extend(table.indexes.iter().map(|key| format!("op.create_index(\"{}\", \"{}\", [{}])", key.name, table.name, list(&key.columns))));
    table.foreign_keys.iter().filter(|key| late.contains(&key.name)).map(|key| (table, key)).collect()
}

/// Columns, constraints and perhaps indexes, one line each.
fn parts(table: &Table, indexes: bool, alter: &mut dyn FnMut(&ForeignKey) -> bool) -> Vec<String> {
    let key = |part: &Column| table.primary_key.columns.contains(&part.name);
    let mut lines: Vec<String> =
        table.columns.iter().map(|part| format!("    {},", column(part, part.default.as_deref(), key(part)))).collect();
    lines.push(format!("    sa.PrimaryKeyConstraint({}, name=\"{}\"),", list(&table.primary_key.columns), table.primary_key.name));
    lines.extend(table.uniques.iter().map(|key| format!("    sa.UniqueConstraint({}, name=\"{}\"),", list(&key.columns), key.name)));
    for key in &table.foreign_keys {
        let late = if alter(key) { ", use_alter=True" } else { "" };
        lines.push(format!(
            "    sa.ForeignKeyConstraint([\"{}\"], [\"{}.{}\"], name=\"{}\", ondelete=\"{}\"{late}),",
            key.column, key.table, key.target, key.name, key.on_delete
        ));
    }
    lines
        .extend(table.checks.iter().map(|check| format!("    sa.CheckConstraint({}, name=\"{}\"),", python::text(&check.sql), check.name)));
    if indexes {
        lines.extend(table.indexes.iter().map(|key| format!("    sa.Index(\"{}\", {}),", key.name, list(&key.columns))));
    }
    lines
}

fn list(columns: &[String]) -> String {
    columns.iter().map(|column| python::text(column)).collect::<Vec<_>>().join(", ")
}

fn column(column: &Column, default: Option<&str>, key: bool) -> String {
    let mut text = format!("sa.Column({}, {}", python::text(&column.name), column.migration_type());
    if let Some(default) = default {
        text.push_str(", server_default=sa.text(");
        text.push_str(&python::text(default));
        text.push(')');
    }
    if matches!(column.kind, ColumnKind::Integer | ColumnKind::BigInteger) && key && !column.numbered {
        text.push_str(", autoincrement=False");
    }
    format!("{text}, nullable={})", if column.nullable { "True" } else { "False" })
}

fn foreign_key_arguments(table: &Table, key: &ForeignKey) -> String {
    format!(
        "\"{}\", \"{}\", \"{}\", [\"{}\"], [\"{}\"], ondelete=\"{}\"",
        key.name, table.name, key.table, key.column, key.target, key.on_delete
    )
}

fn drop_tables(dropped: &[&Table], steps: &mut Steps) {
    let mut gone: BTreeSet<&str> = BTreeSet::new();
    let mut knots: Vec<String> = Vec::new();
    for table in dropped.iter().rev() {
        for other in dropped.iter().filter(|other| other.name != table.name && !gone.contains(other.name.as_str())) {
            let keys = other.foreign_keys.iter().filter(|key| key.table == table.name);
            knots.extend(keys.map(|key| format!("    op.drop_constraint(\"{}\", \"{}\", type_=\"foreignkey\")", key.name, other.name)));
        }
        gone.insert(&table.name);
    }
    if !knots.is_empty() {
        steps.lines.push("if op.get_context().dialect.name != \"sqlite\":".to_owned());
        steps.lines.extend(knots);
    }
    for table in dropped.iter().rev() {
        steps.lines.push(format!("op.drop_table(\"{}\")", table.name));
        steps.notes.push(format!("The rows of `{}` are lost.", table.name));
    }
}

fn change(old: &Table, new: &Table, neutral: &Neutral, suffix: &str, steps: &mut Steps) {
    let function = format!("_{}_{suffix}", new.name);
    steps.tables.push(json!({ "function": function, "name": old.name, "parts": parts(old, true, &mut |_| false) }));
    let mut inner: Vec<String> = Vec::new();
    let mut after: Vec<String> = Vec::new();
    dropped_parts(old, new, &mut inner);
    for part in old.columns.iter().filter(|part| new.columns.iter().all(|other| other.name != part.name)) {
        inner.push(format!("batch.drop_column({})", python::text(&part.name)));
        steps.notes.push(format!("The values of `{}.{}` are lost.", old.name, part.name));
    }
    for part in &new.columns {
        match old.columns.iter().find(|other| other.name == part.name) {
            None => added_column(new, part, neutral, &mut inner, &mut after, steps),
            Some(other) if other != part => altered_column(new, other, part, neutral, &mut inner, steps),
            Some(_) => {}
        }
    }
    added_parts(old, new, &mut inner);
    if inner.is_empty() {
        return;
    }
    steps.lines.push(format!("with op.batch_alter_table(\"{}\", copy_from={function}()) as batch:", new.name));
    steps.lines.extend(inner.into_iter().map(|line| format!("    {line}")));
    if !after.is_empty() {
        steps.lines.push("if op.get_context().dialect.name != \"sqlite\":".to_owned());
        steps.lines.extend(after.into_iter().map(|line| format!("    {line}")));
    }
}

fn dropped_parts(old: &Table, new: &Table, inner: &mut Vec<String>) {
    let mut constraint = |name: &str, kind: &str| inner.push(format!("batch.drop_constraint(\"{name}\", type_=\"{kind}\")"));
    old.checks.iter().filter(|part| !new.checks.contains(part)).for_each(|part: &Check| constraint(&part.name, "check"));
    old.uniques.iter().filter(|part| !new.uniques.contains(part)).for_each(|part: &Key| constraint(&part.name, "unique"));
    old.foreign_keys.iter().filter(|part| !new.foreign_keys.contains(part)).for_each(|part| constraint(&part.name, "foreignkey"));
    if old.primary_key != new.primary_key {
        constraint(&old.primary_key.name, "primary");
    }
    inner.extend(old.indexes.iter().filter(|part| !new.indexes.contains(part)).map(|part| format!("batch.drop_index(\"{}\")", part.name)));
}

fn added_parts(old: &Table, new: &Table, inner: &mut Vec<String>) {
    if old.primary_key != new.primary_key {
        inner.push(format!("batch.create_primary_key(\"{}\", [{}])", new.primary_key.name, list(&new.primary_key.columns)));
    }
    for part in new.uniques.iter().filter(|part| !old.uniques.contains(part)) {
        inner.push(format!("batch.create_unique_constraint(\"{}\", [{}])", part.name, list(&part.columns)));
    }
    for part in new.foreign_keys.iter().filter(|part| !old.foreign_keys.contains(part)) {
        inner.push(format!(
            "batch.create_foreign_key(\"{}\", \"{}\", [\"{}\"], [\"{}\"], ondelete=\"{}\")",
            part.name, part.table, part.column, part.target, part.on_delete
        ));
    }
    for part in new.checks.iter().filter(|part| !old.checks.contains(part)) {
        inner.push(format!("batch.create_check_constraint(\"{}\", sa.text({}))", part.name, python::text(&part.sql)));
    }
    for part in new.indexes.iter().filter(|part| !old.indexes.contains(part)) {
        inner.push(format!("batch.create_index(\"{}\", [{}])", part.name, list(&part.columns)));
    }
}

/// A new column. Existing rows need a value where none may be absent: a neutral one when there is one, else the table must be empty.
fn added_column(table: &Table, part: &Column, neutral: &Neutral, inner: &mut Vec<String>, after: &mut Vec<String>, steps: &mut Steps) {
    if part.nullable || part.default.is_some() {
        inner.push(format!("batch.add_column({})", column(part, part.default.as_deref(), false)));
        return;
    }
    if let Some(value) = neutral.get(&(table.name.clone(), part.name.clone())) {
        inner.push(format!("batch.add_column({})", column(part, Some(value), false)));
        after.push(format!("op.alter_column(\"{}\", \"{}\", server_default=None)", table.name, part.name));
        steps.notes.push(format!(
            "Rows that exist get `{value}` in the new column `{}.{}`; change it here if another value is right.",
            table.name, part.name
        ));
    } else {
        steps.guarded = true;
        steps.lines.push(format!("_require_empty(\"{}\", \"{}\")", table.name, part.name));
        steps.notes.push(format!(
            "`{}.{}` needs a value that nobody can guess: fill it by hand before, or the migration stops when the table has rows.",
            table.name, part.name
        ));
        inner.push(format!("batch.add_column({})", column(part, None, false)));
    }
}

fn altered_column(table: &Table, old: &Column, new: &Column, neutral: &Neutral, inner: &mut Vec<String>, steps: &mut Steps) {
    let mut arguments = vec![python::text(&new.name), format!("existing_type={}", old.migration_type())];
    if old.kind != new.kind {
        arguments.push(format!("type_={}", new.migration_type()));
        let cast = format!("{}::{}", quoted(&new.name), postgresql_type(new));
        arguments.push(format!("postgresql_using={}", python::text(&cast)));
        steps.notes.push(format!("The values of `{}.{}` are converted; the migration stops where one cannot be.", table.name, new.name));
    }
    if old.default != new.default {
        let default = new.default.as_ref().map_or("None".to_owned(), |default| format!("sa.text({})", python::text(default)));
        arguments.push(format!("server_default={default}"));
    }
    if old.nullable == new.nullable {
        arguments.push(format!("existing_nullable={}", if old.nullable { "True" } else { "False" }));
    } else {
        arguments.push(format!("nullable={}", if new.nullable { "True" } else { "False" }));
        let value = new.default.as_ref().or_else(|| neutral.get(&(table.name.clone(), new.name.clone())));
        if let Some(value) = value.filter(|_| !new.nullable) {
            let sql = format!("UPDATE {} SET {1} = {value} WHERE {1} IS NULL", quoted(&table.name), quoted(&new.name));
            steps.lines.push(format!("op.execute({})", python::text(&sql)));
            steps
                .notes
                .push(format!("Rows without `{}.{}` get `{value}`; change it here if another value is right.", table.name, new.name));
        }
    }
    inner.push(format!("batch.alter_column({})", arguments.join(", ")));
}

fn postgresql_type(column: &Column) -> String {
    match &column.kind {
        ColumnKind::Text => "text".to_owned(),
        ColumnKind::String(length) => format!("varchar({length})"),
        ColumnKind::Integer => "integer".to_owned(),
        ColumnKind::BigInteger => "bigint".to_owned(),
        ColumnKind::Double => "double precision".to_owned(),
        ColumnKind::Decimal(precision, scale) => format!("numeric({precision}, {scale})"),
        ColumnKind::Boolean => "boolean".to_owned(),
        ColumnKind::Date => "date".to_owned(),
        ColumnKind::Time => "time".to_owned(),
        ColumnKind::Instant => "timestamptz".to_owned(),
        ColumnKind::Uuid => "uuid".to_owned(),
        ColumnKind::Json => "json".to_owned(),
    }
}
