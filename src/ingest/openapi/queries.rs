//! Lists: what the query's parameters choose, how the result is ordered, cut into pages and wrapped.

use super::entities::Draft;
use super::fields::field_type;
use super::resources::{Form, View, WrapperPart, folded, object, wrapper_part};
use super::success;
use crate::model::operation::{Envelope, Filter, FilterComparison, ListBehaviour, Location, Paging, Parameter, Sort};
use crate::model::{Field, FieldType, Finding, Operation, Shape, ShapeKind, SpecDocument};

/// Most rows of one answer where the source sets no bound.
const PAGE_ROWS_MAX: u32 = 1_000;

const LIMIT_NAMES: &[&str] = &["limit", "perpage", "pagesize", "size", "count", "first", "take", "maxresults", "max"];
const OFFSET_NAMES: &[&str] = &["offset", "skip", "start", "startindex"];
const PAGE_NAMES: &[&str] = &["page", "pagenumber", "pageno", "pageindex"];
const SORT_NAMES: &[&str] = &["sort", "sortby", "orderby", "order", "ordering"];
const SEARCH_NAMES: &[&str] = &["q", "query", "search", "searchterm", "term"];
const SEARCHED: &[&str] = &["title", "name", "subject", "label", "description", "text", "body"];

/// The list behaviour without its path; none, with reasons, where a part is not understood.
pub(super) fn derive(
    document: &SpecDocument,
    operation: &Operation,
    view: &View,
    draft: &Draft,
    reasons: &mut Vec<String>,
    findings: &mut Vec<Finding>,
) -> Option<ListBehaviour> {
    let Form::Rows { schema, wrapper } = &view.shows else { return None };
    let envelope = wrapper.as_ref().map(|(wrapper, items)| envelope(document, wrapper, items, reasons));
    let mut list =
        ListBehaviour { entity: draft.entity.name.clone(), path: Vec::new(), filters: Vec::new(), sort: None, paging: None, envelope };
    let query: Vec<&Parameter> = operation.parameters.iter().filter(|parameter| parameter.location == Location::Query).collect();
    let limit = query.iter().find(|parameter| LIMIT_NAMES.contains(&folded(&parameter.name).as_str()) && whole(parameter));
    let offset = query.iter().find(|parameter| OFFSET_NAMES.contains(&folded(&parameter.name).as_str()) && whole(parameter));
    let page = query.iter().find(|parameter| PAGE_NAMES.contains(&folded(&parameter.name).as_str()) && whole(parameter));
    if let Some(limit) = limit {
        list.paging = Some(paging(document, operation, limit, offset.or(page), offset.is_none() && page.is_some(), findings));
    }
    for parameter in query {
        let paged =
            list.paging.as_ref().is_some_and(|paging| paging.limit == parameter.name || paging.offset.as_ref() == Some(&parameter.name));
        if paged {
            continue;
        }
        if SORT_NAMES.contains(&folded(&parameter.name).as_str())
            && let Some(sort) = sort(parameter, draft)
        {
            list.sort = Some(sort);
            continue;
        }
        match filter(document, parameter, draft) {
            Some(filter) => list.filters.push(filter),
            None => reasons.push(format!("nothing says how the parameter `{}` chooses among the rows of `{schema}`", parameter.name)),
        }
    }
    Some(list)
}

fn whole(parameter: &Parameter) -> bool {
    matches!(parameter.shape.kind, ShapeKind::Integer { .. })
}

fn paging(
    document: &SpecDocument,
    operation: &Operation,
    limit: &Parameter,
    offset: Option<&&Parameter>,
    pages: bool,
    findings: &mut Vec<Finding>,
) -> Paging {
    let stated = match &limit.shape.kind {
        ShapeKind::Integer { limits, .. } => limits.max.as_ref().and_then(serde_json::Number::as_u64),
        _ => None,
    };
    let items = success(operation).and_then(|response| response.content.as_ref()).and_then(|content| items_max(document, &content.shape));
    let bound = [stated, items].into_iter().flatten().min();
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let limit_max = bound.map_or(PAGE_ROWS_MAX, small);
    if bound.is_none() {
        let message = format!("`{}` of {} has no upper bound; answers hold at most {PAGE_ROWS_MAX} rows", limit.name, operation.key);
        findings.push(Finding::info("server-maximum", message, operation.position, "state a `maximum` for another bound"));
    }
    let default = limit.shape.default.as_ref().and_then(serde_json::Value::as_u64).map(small);
    Paging {
        limit: limit.name.clone(),
        offset: offset.map(|parameter| parameter.name.clone()),
        pages,
        limit_default: default.unwrap_or(limit_max).min(limit_max),
        limit_max,
    }
}

/// Most rows that the answer's own schema allows, bare or in a wrapper.
fn items_max(document: &SpecDocument, shape: &Shape) -> Option<u64> {
    let target = |shape: &Shape| match &shape.kind {
        ShapeKind::Reference(name) => document.schema(name).map(|schema| schema.shape.kind.clone()),
        kind => Some(kind.clone()),
    };
    let bound = |kind: Option<ShapeKind>| match kind {
        Some(ShapeKind::Array { limits, .. }) => limits.length_max,
        _ => None,
    };
    match target(shape) {
        Some(ShapeKind::Object(object)) => object.properties.iter().find_map(|property| bound(target(&property.shape))),
        kind => bound(kind),
    }
}

fn envelope(document: &SpecDocument, wrapper: &str, items: &str, reasons: &mut Vec<String>) -> Envelope {
    let mut envelope = Envelope { items: items.to_owned(), total: None, limit: None, offset: None };
    for property in object(document, wrapper).map(|object| object.properties.as_slice()).unwrap_or_default() {
        if property.name == items {
            continue;
        }
        match wrapper_part(&property.name, items) {
            Some(WrapperPart::Total) => envelope.total = Some(property.name.clone()),
            Some(WrapperPart::Limit) => envelope.limit = Some(property.name.clone()),
            Some(WrapperPart::Offset) => envelope.offset = Some(property.name.clone()),
            None if property.required => reasons.push(format!("nothing says what `{}` beside the rows means", property.name)),
            None => {}
        }
    }
    envelope
}

fn sort(parameter: &Parameter, draft: &Draft) -> Option<Sort> {
    let ShapeKind::Text { values, .. } = &parameter.shape.kind else { return None };
    let mut fields: Vec<String> = Vec::new();
    for value in values {
        let name = value.strip_prefix(['-', '+']).unwrap_or(value);
        let field = draft.entity.fields.iter().find(|field| folded(&field.name) == folded(name) && scalar(&field.field_type))?;
        if !fields.contains(&field.name) {
            fields.push(field.name.clone());
        }
    }
    (!fields.is_empty()).then(|| Sort { parameter: parameter.name.clone(), fields })
}

fn scalar(kind: &FieldType) -> bool {
    !matches!(kind, FieldType::List(_) | FieldType::Object(_) | FieldType::Json)
}

fn filter(document: &SpecDocument, parameter: &Parameter, draft: &Draft) -> Option<Filter> {
    let wanted = folded(&parameter.name);
    let stated = field_type(document, &parameter.shape);
    let named =
        |name: &str| draft.entity.fields.iter().find(|field| folded(&field.name) == name && scalar(&field.field_type) && !field.write_only);
    let made = |field: &Field, comparison| Some(Filter { parameter: parameter.name.clone(), field: field.name.clone(), comparison });
    if let FieldType::List(inner) = &stated {
        let field = named(&wanted).or_else(|| named(&folded(&pluralizer::pluralize(&wanted, 1, false))))?;
        return comparable(inner, &field.field_type).then(|| made(field, FilterComparison::OneOf)).flatten();
    }
    if let Some(field) = named(&wanted) {
        return comparable(&stated, &field.field_type).then(|| made(field, FilterComparison::Equal)).flatten();
    }
    if matches!(stated, FieldType::Text) {
        if let Some(field) = ["contains", "like", "search"].iter().find_map(|word| named(wanted.strip_suffix(word)?)) {
            return matches!(field.field_type, FieldType::Text).then(|| made(field, FilterComparison::Contains)).flatten();
        }
        if SEARCH_NAMES.contains(&wanted.as_str()) {
            let field = SEARCHED.iter().find_map(|name| named(name).filter(|field| matches!(field.field_type, FieldType::Text)))?;
            return made(field, FilterComparison::Contains);
        }
    }
    let bounded = |words: &[&str]| {
        words.iter().find_map(|word| {
            let rest = wanted.strip_prefix(word).or_else(|| wanted.strip_suffix(word))?;
            named(rest).or_else(|| named(&format!("{rest}at"))).or_else(|| named(&format!("{rest}on")))
        })
    };
    let ordered = |field: &&Field| {
        comparable(&stated, &field.field_type)
            && !matches!(field.field_type, FieldType::Text | FieldType::Enum(_) | FieldType::Boolean | FieldType::Uuid)
    };
    if let Some(field) = bounded(&["min", "minimum", "from", "since", "after", "gte"]).filter(ordered) {
        return made(field, FilterComparison::AtLeast);
    }
    bounded(&["max", "maximum", "until", "before", "to", "lte"]).filter(ordered).and_then(|field| made(field, FilterComparison::AtMost))
}

/// True when every value that the parameter may have can be compared with the field.
fn comparable(parameter: &FieldType, field: &FieldType) -> bool {
    use FieldType as F;
    match (parameter, field) {
        (F::Text | F::Email | F::Url | F::Enum(_), F::Text | F::Email | F::Url | F::Enum(_))
        | (F::Integer | F::BigInteger, F::Integer | F::BigInteger | F::Float)
        | (F::Float, F::Float) => true,
        _ => std::mem::discriminant(parameter) == std::mem::discriminant(field),
    }
}
