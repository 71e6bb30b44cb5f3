//! What the templates of models are given.

use serde_json::{Value, json};

use super::project::{EntityNames, Project};
use super::python;
use super::tables::{self, Table};
use crate::model::entity::{Field, FieldSource, FieldType};

/// The context of one model.
pub(super) fn context(project: &Project<'_>, names: &EntityNames<'_>) -> Value {
    let entity = names.entity;
    let table = tables::table(project, names);
    let aliases: Vec<Value> = entity
        .fields
        .iter()
        .filter_map(|field| match &field.field_type {
            FieldType::Enum(values) => {
                let values: Vec<String> = values.iter().map(|value| python::text(value)).collect();
                Some(json!({ "name": python::enum_alias(&names.class, field), "values": values.join(", ") }))
            }
            _ => None,
        })
        .collect();
    let columns: Vec<Value> = entity
        .fields
        .iter()
        .zip(&table.columns)
        .map(|(field, column)| json!({ "line": line(project, names, field, column), "doc": field.description.trim() }))
        .collect();
    json!({
        "class": names.class,
        "table": entity.table,
        "description": entity.description,
        "aliases": aliases,
        "arguments": arguments(&table),
        "columns": columns,
    })
}

fn line(project: &Project<'_>, names: &EntityNames<'_>, field: &Field, column: &tables::Column) -> String {
    let kind = python::attribute_type(project, names.entity, field);
    let kind = if column.nullable && kind != "Any" { format!("{kind} | None") } else { kind };
    let mut arguments = vec![column.model_type()];
    if field.primary_key {
        arguments.push("primary_key=True".to_owned());
        if !column.numbered && matches!(column.kind, tables::ColumnKind::Integer | tables::ColumnKind::BigInteger) {
            arguments.push("autoincrement=False".to_owned());
        }
    }
    arguments.extend(default(project, field, column.numbered));
    if let Some(sql) = &column.default {
        arguments.push(format!("server_default=text({})", python::text(sql)));
    }
    if kind == "Any" && column.nullable {
        arguments.push("nullable=True".to_owned());
    }
    format!("{}: Mapped[{kind}] = mapped_column({})", column.name, arguments.join(", "))
}

/// How the service fills a column that nobody gave a value for.
fn default(project: &Project<'_>, field: &Field, numbered: bool) -> Vec<String> {
    let stored = python::stored_type(project, &field.field_type);
    if let Some(given) = field.default.as_ref().filter(|given| !given.is_null()) {
        let text = python::typed(given, stored);
        let dynamic = text.starts_with("utc_now");
        let text = match text.as_str() {
            "[]" => "list".to_owned(),
            "{}" => "dict".to_owned(),
            _ if dynamic || matches!(stored, FieldType::List(_) | FieldType::Object(_) | FieldType::Json) => format!("lambda: {text}"),
            _ => text,
        };
        return vec![format!("default={text}")];
    }
    // What is not required and not the caller's stays absent until an action sets it.
    if field.source == FieldSource::Client || numbered || !(field.required || field.primary_key) {
        return Vec::new();
    }
    let made = match stored {
        FieldType::Uuid => "uuid4",
        FieldType::DateTime => "utc_now",
        FieldType::Date => "lambda: utc_now().date()",
        FieldType::Text | FieldType::Email | FieldType::Url => "lambda: str(uuid4())",
        FieldType::Integer | FieldType::BigInteger => "0",
        _ => return Vec::new(),
    };
    let mut arguments = vec![format!("default={made}")];
    if field.source == FieldSource::OnUpdate {
        arguments.push(format!("onupdate={made}"));
    }
    arguments
}

fn arguments(table: &Table) -> Vec<String> {
    let columns = |columns: &[String]| columns.iter().map(|column| python::text(column)).collect::<Vec<_>>().join(", ");
    let mut found = vec![format!("PrimaryKeyConstraint({}, name=\"{}\")", columns(&table.primary_key.columns), table.primary_key.name)];
    for key in &table.uniques {
        found.push(format!("UniqueConstraint({}, name=\"{}\")", columns(&key.columns), key.name));
    }
    for key in &table.foreign_keys {
        found.push(format!(
            "ForeignKeyConstraint([\"{}\"], [\"{}.{}\"], name=\"{}\", ondelete=\"{}\"{})",
            key.column,
            key.table,
            key.target,
            key.name,
            key.on_delete,
            if key.circular { ", use_alter=True" } else { "" }
        ));
    }
    for check in &table.checks {
        found.push(format!("CheckConstraint({}, name=\"{}\")", python::text(&check.sql), check.name));
    }
    for key in &table.indexes {
        found.push(format!("Index(\"{}\", {})", key.name, columns(&key.columns)));
    }
    found
}
