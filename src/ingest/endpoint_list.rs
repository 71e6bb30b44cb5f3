//! What a list offers: filters, search, ranges, sorting and pages.

use super::draft::Text;
use super::field;
use super::purpose::{PAGE_ROWS, Purpose};
use crate::model::operation::{Binding, Envelope, Filter, FilterComparison, ListBehaviour, Paging, Sort};
use crate::model::{Behaviour, Entity, Field, FieldType, Finding};

/// Names of the parameters that every list has.
const RESERVED: [&str; 3] = ["limit", "offset", "sort"];

/// The behaviour of a list.
pub(super) fn list(entity: &Entity, path: Vec<Binding>, purpose: &Purpose, findings: &mut Vec<Finding>) -> Result<ListBehaviour, String> {
    let mut list = ListBehaviour {
        entity: entity.name.clone(),
        path,
        filters: Vec::new(),
        sort: None,
        paging: Some(paging(purpose)),
        envelope: Some(envelope()),
    };
    for name in &purpose.filters {
        let Some(field) = chosen(entity, name, "filtered", comparable, findings) else { continue };
        add(&mut list, &field.name, field, FilterComparison::Equal)?;
    }
    for name in &purpose.searches {
        let Some(field) = chosen(entity, name, "searched", textual, findings) else { continue };
        add(&mut list, &format!("{}_contains", field.name), field, FilterComparison::Contains)?;
    }
    for name in &purpose.ranges {
        let Some(field) = chosen(entity, name, "cut into ranges", ordered, findings) else { continue };
        add(&mut list, &format!("min_{}", field.name), field, FilterComparison::AtLeast)?;
        add(&mut list, &format!("max_{}", field.name), field, FilterComparison::AtMost)?;
    }
    let mut fields: Vec<String> = Vec::new();
    for name in &purpose.sorts {
        let Some(field) = chosen(entity, name, "sorted", sortable, findings) else { continue };
        if !fields.contains(&field.name) {
            fields.push(field.name.clone());
        }
    }
    if !fields.is_empty() {
        list.sort = Some(Sort { parameter: "sort".to_owned(), fields });
    }
    Ok(list)
}

fn add(list: &mut ListBehaviour, parameter: &str, field: &Field, comparison: FilterComparison) -> Result<(), String> {
    let taken = RESERVED.contains(&parameter) || list.path.iter().any(|binding| binding.parameter == parameter);
    if taken {
        return Err(format!("the filter `{parameter}` has the name of another parameter"));
    }
    if !list.filters.iter().any(|filter| filter.parameter == parameter) {
        list.filters.push(Filter { parameter: parameter.to_owned(), field: field.name.clone(), comparison });
    }
    Ok(())
}

fn paging(purpose: &Purpose) -> Paging {
    let (limit_default, limit_max) = purpose.page.unwrap_or(PAGE_ROWS);
    Paging { limit: "limit".to_owned(), offset: Some("offset".to_owned()), pages: false, limit_default, limit_max }
}

fn envelope() -> Envelope {
    let some = |name: &str| Some(name.to_owned());
    Envelope { items: "items".to_owned(), total: some("total"), limit: some("limit"), offset: some("offset") }
}

/// The named field, if lists can use it so.
fn chosen<'e>(
    entity: &'e Entity,
    name: &Text,
    used: &str,
    suits: fn(&FieldType) -> bool,
    findings: &mut Vec<Finding>,
) -> Option<&'e Field> {
    let Some(field) = field::named(&entity.fields, &name.text) else {
        findings.push(field::unknown(&entity.fields, &entity.name, &name.text, name.position));
        return None;
    };
    if suits(&field.field_type) && !field.write_only {
        return Some(field);
    }
    let message = format!("{} cannot be {used} by `{}`", entity.name, field.name);
    let hint = "search works on text, ranges on numbers and times, filters and sorting on single visible values";
    findings.push(Finding::error("bad-list-field", message, Some(name.position), hint));
    None
}

fn comparable(field_type: &FieldType) -> bool {
    !matches!(field_type, FieldType::List(_) | FieldType::Object(_) | FieldType::Json | FieldType::Float)
}

fn textual(field_type: &FieldType) -> bool {
    matches!(field_type, FieldType::Text | FieldType::Email | FieldType::Url)
}

fn ordered(field_type: &FieldType) -> bool {
    matches!(
        field_type,
        FieldType::Integer
            | FieldType::BigInteger
            | FieldType::Float
            | FieldType::Decimal { .. }
            | FieldType::Date
            | FieldType::Time
            | FieldType::DateTime
    )
}

fn sortable(field_type: &FieldType) -> bool {
    ordered(field_type) || textual(field_type) || matches!(field_type, FieldType::Boolean | FieldType::Enum(_))
}

/// Marks the fields that a list filters or sorts by as indexed.
pub(super) fn mark_indexed(behaviour: &Behaviour, entities: &mut [Entity]) {
    let Behaviour::List(list) = behaviour else { return };
    let Some(entity) = entities.iter_mut().find(|entity| entity.name == list.entity) else { return };
    // An index does not help to find a text within a text.
    let filtered = list.filters.iter().filter(|filter| filter.comparison != FilterComparison::Contains).map(|filter| &filter.field);
    let sorted = list.sort.iter().flat_map(|sort| &sort.fields);
    let used: Vec<&String> = filtered.chain(sorted).chain(list.path.iter().map(|binding| &binding.field)).collect();
    for field in &mut entity.fields {
        if used.contains(&&field.name) && !field.primary_key && !field.unique {
            field.indexed = true;
        }
    }
}
