//! Lists: what they hold, filters, order, pages, and queries that are refused.

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::client::Answer;
use super::condition::{Row, compare, present};
use super::conventions::{ONE_ROW_A_PAGE, SECOND_PAGE};
use super::creating::New;
use super::judge::Expect;
use super::samples::{refused, resolve};
use super::walk::{Try, Walk, as_text, bindings, query_pairs};
use crate::model::operation::{Filter, FilterComparison, ListBehaviour, Location, Parameter};
use crate::model::{Entity, Operation, ShapeKind, Subject};

impl<'d> Walk<'d> {
    /// Everything that listing rows can meet with.
    pub(super) async fn listing(&mut self, entity: &'d Entity, operation: &'d Operation, list: &'d ListBehaviour) {
        let Some(first) = self.create(entity, New::any()).await else {
            return self.cannot(operation, "list");
        };
        let fixed: Row = list.path.iter().filter_map(|binding| Some((binding.field.clone(), first.get(&binding.field)?.clone()))).collect();
        let second = self.create(entity, New::fixed(fixed)).await;
        let rows: Vec<Row> = [Some(first), second].into_iter().flatten().collect();
        let row = rows[0].clone();
        let attempt = Try::new(operation, "list", Expect::Success).about(&row).also(Some(Subject::Entity(entity.name.clone())));
        let Some(answer) = self.succeed(attempt).await else { return };
        self.check_page(entity, list, &answer, &rows);
        self.filters(operation, list, &row).await;
        self.orders(operation, list, &row).await;
        self.pages(operation, list, &row).await;
        self.refused_queries(operation, &row).await;
        self.below_no_parent(operation, list, &row).await;
    }

    /// The envelope says what it holds, and it holds the rows that were just made, as far as one page can.
    fn check_page(&mut self, entity: &Entity, list: &ListBehaviour, answer: &Answer, rows: &[Row]) {
        let items = items(list, answer);
        let property = |name: Option<&String>| name.and_then(|name| answer.json.as_ref()?.get(name)?.as_u64());
        let (total, limit) = (property(total_of(list)), property(list.envelope.as_ref().and_then(|envelope| envelope.limit.as_ref())));
        let most = list.paging.as_ref().map_or(u64::MAX, |paging| u64::from(paging.limit_default));
        if items.len() as u64 > most {
            self.fail_last(format!("holds {} rows although {most} are the most without a limit", items.len()), None);
        }
        if let Some(limit) = limit.filter(|limit| *limit != most && list.paging.is_some()) {
            self.fail_last(format!("says that its limit is {limit} instead of {most}"), None);
        }
        if let Some(total) = total.filter(|total| (items.len() as u64) < most && *total != items.len() as u64) {
            self.fail_last(format!("says that {total} rows match and holds {}", items.len()), None);
        }
        let complete = (items.len() as u64) < most;
        for row in rows.iter().filter(|_| complete) {
            let Some(key) = Self::key_of(entity, row) else { continue };
            if items.first().is_some_and(|item| item.contains_key(&entity.key().name)) && !holds(entity, &items, &key) {
                self.fail_last(format!("does not hold the row {} that was just made", as_text(&key)), None);
            }
        }
    }

    async fn filters(&mut self, operation: &'d Operation, list: &'d ListBehaviour, row: &Row) {
        for filter in &list.filters {
            let Some(parameter) = query_parameter(operation, &filter.parameter) else { continue };
            let subject = Subject::Operation(operation.key.clone());
            let Some(value) = present(row, &filter.field).cloned() else {
                self.skip(
                    Some(operation),
                    format!("filter {}", filter.parameter),
                    vec![subject],
                    format!("no row with a `{}` could be made", filter.field),
                );
                continue;
            };
            let sent = if matches!(resolve(self.document, &parameter.shape).kind, ShapeKind::Array { .. }) {
                json!([value])
            } else {
                value.clone()
            };
            let mut attempt = Try::new(operation, format!("filter {}", filter.parameter), Expect::Success).about(row);
            attempt.query = query_pairs(parameter, &sent);
            let Some(answer) = self.succeed(attempt).await else { continue };
            let items = items(list, &answer);
            if let Some(wrong) = items.iter().find(|item| item.contains_key(&filter.field) && !passes(filter, item, &value)) {
                let found = wrong.get(&filter.field).cloned().unwrap_or_default();
                self.fail_last(
                    format!("holds a row whose `{}` is {found}, which `{}={}` excludes", filter.field, filter.parameter, as_text(&value)),
                    None,
                );
            }
            if items.is_empty() {
                self.fail_last(format!("holds nothing although a row has the `{}` {}", filter.field, as_text(&value)), None);
            }
        }
    }

    async fn orders(&mut self, operation: &'d Operation, list: &'d ListBehaviour, row: &Row) {
        let Some(sort) = &list.sort else { return };
        for (field, descending) in sort.fields.iter().flat_map(|field| [(field, false), (field, true)]) {
            let value = if descending { format!("-{field}") } else { field.clone() };
            let mut attempt = Try::new(operation, format!("sort {value}"), Expect::Success).about(row);
            attempt.query = vec![(sort.parameter.clone(), value.clone())];
            let Some(answer) = self.succeed(attempt).await else { continue };
            let items = items(list, &answer);
            let values: Vec<&Value> = items.iter().filter_map(|item| present(item, field)).filter(|value| orderable(value)).collect();
            let wrong = if descending { Ordering::Less } else { Ordering::Greater };
            if let Some(pair) = values.windows(2).find(|pair| compare(pair[0], pair[1]) == Some(wrong)) {
                self.fail_last(
                    format!("`{}` comes before `{}` although it is sorted by {value}", as_text(pair[0]), as_text(pair[1])),
                    None,
                );
            }
        }
    }

    async fn pages(&mut self, operation: &'d Operation, list: &'d ListBehaviour, row: &Row) {
        let Some(paging) = &list.paging else { return };
        let mut attempt = Try::new(operation, ONE_ROW_A_PAGE, Expect::Success).about(row);
        attempt.query = vec![(paging.limit.clone(), "1".to_owned())];
        let Some(first) = self.succeed(attempt).await else { return };
        let items_of_first = items(list, &first);
        if items_of_first.len() > 1 {
            self.fail_last(format!("holds {} rows although one was asked for", items_of_first.len()), None);
        }
        if let Some(offset) = &paging.offset {
            let mut attempt = Try::new(operation, SECOND_PAGE, Expect::Success).about(row);
            let second = if paging.pages { "2" } else { "1" };
            attempt.query = vec![(paging.limit.clone(), "1".to_owned()), (offset.clone(), second.to_owned())];
            if let Some(answer) = self.succeed(attempt).await
                && !items_of_first.is_empty()
                && items(list, &answer) == items_of_first
            {
                self.fail_last("is the same as the first page".to_owned(), None);
            }
        }
        let Some(parameter) = query_parameter(operation, &paging.limit) else { return };
        let ShapeKind::Integer { limits, .. } = &resolve(self.document, &parameter.shape).kind else { return };
        if let Some(max) = &limits.max {
            let mut attempt = Try::new(operation, "the largest page", Expect::Success).about(row);
            attempt.query = vec![(paging.limit.clone(), max.to_string())];
            self.send(attempt).await;
        }
    }

    /// Each query parameter with a value that its shape refuses.
    async fn refused_queries(&mut self, operation: &'d Operation, row: &Row) {
        for parameter in operation.parameters.iter().filter(|parameter| parameter.location == Location::Query) {
            let resolved = resolve(self.document, &parameter.shape);
            // Text cannot be told from a number in a query, so only what no text can mean is refused.
            let telling = |what: &str| {
                !matches!(what, "null" | "of the wrong type")
                    || matches!(resolved.kind, ShapeKind::Integer { .. } | ShapeKind::Number { .. } | ShapeKind::Boolean)
            };
            for refused in refused(self.document, &parameter.shape)
                .into_iter()
                .filter(|refused| telling(refused.what) && !refused.value.is_null() && !refused.value.is_array())
            {
                let mut attempt = Try::new(operation, format!("invalid: {} {}", parameter.name, refused.what), Expect::Invalid).about(row);
                attempt.query = query_pairs(parameter, &refused.value);
                self.send(attempt).await;
            }
        }
    }

    async fn below_no_parent(&mut self, operation: &'d Operation, list: &'d ListBehaviour, row: &Row) {
        let Some(binding) = list.path.last() else { return };
        let parameter = operation.parameters.iter().find(|parameter| parameter.name == binding.parameter);
        let documented = super::judge::documented(operation, 404).is_some();
        if let Some(missing) = parameter.filter(|_| documented).and_then(|parameter| self.missing(&parameter.shape)) {
            let mut attempt = Try::new(operation, "not found: no such parent", Expect::NotFound).about(row);
            attempt
                .path
                .insert(bindings(&operation.behaviour).last().map_or_else(String::new, |binding| binding.parameter.clone()), missing);
            self.send(attempt).await;
        }
    }
}

fn query_parameter<'d>(operation: &'d Operation, name: &str) -> Option<&'d Parameter> {
    operation.parameters.iter().find(|parameter| parameter.location == Location::Query && parameter.name == name)
}

fn total_of(list: &ListBehaviour) -> Option<&String> {
    list.envelope.as_ref()?.total.as_ref()
}

/// The rows of an answer.
pub(super) fn items(list: &ListBehaviour, answer: &Answer) -> Vec<Row> {
    let value = answer.json.as_ref();
    let value = match &list.envelope {
        Some(envelope) => value.and_then(|value| value.get(&envelope.items)),
        None => value,
    };
    value.and_then(Value::as_array).into_iter().flatten().filter_map(|item| item.as_object().cloned()).collect()
}

fn holds(entity: &Entity, items: &[Row], key: &Value) -> bool {
    items.iter().any(|item| item.get(&entity.key().name) == Some(key))
}

fn passes(filter: &Filter, item: &Row, value: &Value) -> bool {
    let Some(found) = present(item, &filter.field) else { return false };
    match filter.comparison {
        FilterComparison::Equal | FilterComparison::OneOf => compare(found, value) == Some(Ordering::Equal),
        FilterComparison::Contains => as_text(found).to_lowercase().contains(&as_text(value).to_lowercase()),
        FilterComparison::AtLeast => compare(found, value).is_some_and(Ordering::is_ge),
        FilterComparison::AtMost => compare(found, value).is_some_and(Ordering::is_le),
    }
}

/// True for values that every database orders alike: collations differ about anything but plain words.
fn orderable(value: &Value) -> bool {
    match value {
        Value::String(text) => text.bytes().all(|byte| byte.is_ascii_lowercase()) || text.starts_with(|c: char| c.is_ascii_digit()),
        Value::Number(_) | Value::Bool(_) => true,
        _ => false,
    }
}
