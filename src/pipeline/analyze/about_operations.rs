//! What a sentence about an operation sounds like.

use crate::model::operation::{Behaviour, Status};
use crate::model::{Operation, SpecDocument, Subject};

use super::about_rules::field_words;
use super::link::{Candidate, Sense, each_word, list};
use super::words::words;

pub(super) fn candidates(document: &SpecDocument) -> Vec<Candidate> {
    document.operations.iter().flat_map(|one| operation(document, one)).collect()
}

/// An operation is meant only by a sentence without any other meaningful word.
fn operation(document: &SpecDocument, operation: &Operation) -> Vec<Candidate> {
    let Some(entity) = operation.behaviour.entity() else { return Vec::new() };
    let mut may =
        list(&["answer", "return", "respond", "status", "code", "client", "user", "caller", "reader", "anyone", "given", "row", "new"]);
    let verbs: Vec<String> = match &operation.behaviour {
        Behaviour::List(behaviour) => {
            let narrowed = behaviour.filters.iter().map(|filter| &filter.field).chain(behaviour.sort.iter().flat_map(|sort| &sort.fields));
            may.extend(narrowed.flat_map(|field| words(field)));
            may.extend(list(&["page", "pages", "paginated", "newest", "order", "ordered"]));
            let mut verbs = list(&["list", "browse"]);
            if !behaviour.filters.is_empty() {
                verbs.extend(list(&["search", "filter", "find"]));
            }
            if behaviour.sort.is_some() {
                verbs.extend(list(&["sort"]));
            }
            verbs
        }
        Behaviour::Create(_) => list(&["create", "add", "register", "post", "submit"]),
        Behaviour::Read(_) => list(&["read", "fetch", "view", "look", "show"]),
        Behaviour::Replace(_) => list(&["replace"]),
        Behaviour::Patch(_) => list(&["change", "update", "edit", "modify"]),
        Behaviour::Delete(_) => list(&["delete", "remove"]),
        Behaviour::Act { set, .. } => {
            let written =
                document.entity(entity).into_iter().flat_map(|entity| set.iter().flat_map(|(field, _)| field_words(entity, field)));
            may.extend(written);
            may.extend(set.iter().filter_map(|(_, value)| value.as_str()).flat_map(words));
            operation.path.rsplit('/').next().map(words).unwrap_or_default()
        }
        Behaviour::Underivable { .. } => return Vec::new(),
    };
    let codes: Vec<String> = operation.responses.iter().filter_map(|response| code(response.status)).collect();
    let base = |must: Vec<Vec<String>>, may: Vec<String>, numbers: Vec<String>, because: String, sense: Sense| {
        let mut groups = each_word(entity);
        groups.push(verbs.clone());
        groups.extend(must);
        Candidate {
            subject: Subject::Operation(operation.key.clone()),
            because,
            must: groups,
            may,
            numbers,
            explained_min: 2,
            unexplained_percent: 0,
            sense,
        }
    };
    let mut found = Vec::new();
    if codes.iter().any(|code| code == "404") {
        let mut words = may.clone();
        words.extend(list(&["found", "exist", "answers", "404", "there"]));
        let must = vec![list(&["missing", "unknown", "exist", "found", "absent"]), list(&["404", "found"])];
        let because = format!("{} answers 404 when there is no such row", operation.key);
        found.push(base(must, words, list(&["404"]), because, Sense::DeniedOr(&["404", "missing", "unknown"])));
    }
    let because = format!("{} does it", operation.key);
    found.push(base(Vec::new(), may, codes, because, Sense::Affirmed));
    found
}

fn code(status: Status) -> Option<String> {
    if let Status::Code(code) = status { Some(code.to_string()) } else { None }
}
