//! What a sentence about a constraint of a field or about a relation sounds like.

use serde_json::Number;

use crate::model::entity::{Field, FieldSource};
use crate::model::{Entity, FieldType, OnDelete, SpecDocument, Subject};

use super::about_rules::field_words;
use super::link::{Candidate, Sense, UNEXPLAINED_PERCENT, each_word, list};

pub(super) fn candidates(document: &SpecDocument) -> Vec<Candidate> {
    let mut found = Vec::new();
    for entity in &document.entities {
        for field in entity.fields.iter().filter(|field| field.source == FieldSource::Client && !field.primary_key) {
            found.extend(relation(document, entity, field));
            found.extend(constraints(entity, field));
        }
    }
    found
}

fn candidate(entity: &Entity, field: &Field, because: &str, must: Vec<Vec<String>>, may: Vec<String>, sense: Sense) -> Candidate {
    let mut groups = each_word(&entity.name);
    groups.extend(must);
    Candidate {
        subject: Subject::Field(format!("{}.{}", entity.name, field.name)),
        because: because.to_owned(),
        must: groups,
        may,
        numbers: Vec::new(),
        explained_min: 2,
        unexplained_percent: UNEXPLAINED_PERCENT,
        sense,
    }
}

/// What happens to the row when the row it names is deleted.
fn relation(document: &SpecDocument, entity: &Entity, field: &Field) -> Option<Candidate> {
    let FieldType::Reference { entity: target, on_delete } = &field.field_type else { return None };
    document.entity(target)?;
    let mut must = each_word(target);
    must.push(list(&["delete", "remove"]));
    let (because, may, sense) = match on_delete {
        OnDelete::Restrict => {
            let may = &["still", "while", "long", "exist", "refused", "rejected", "conflict", "409", "least", "attached", "belong"];
            ("the reference refuses the deletion of what it names", list(may), Sense::DeniedOr(&["refuses", "409"]))
        }
        OnDelete::Cascade => {
            let may = &["too", "together", "go", "also", "belong", "cascade", "deleting"];
            ("the reference deletes the row with what it names", list(may), Sense::Affirmed)
        }
        OnDelete::SetNull => {
            let may = &["keep", "empty", "emptied", "stay", "null", "survive", "lose"];
            ("the reference is emptied when what it names goes", list(may), Sense::Affirmed)
        }
    };
    if *on_delete == OnDelete::SetNull {
        must.push(list(&["keep", "empty", "emptied", "stay", "null", "survive", "lose"]));
    }
    let mut candidate = candidate(entity, field, because, must, may, sense);
    candidate.numbers = list(&["409"]);
    candidate.explained_min = 3;
    Some(candidate)
}

fn constraints(entity: &Entity, field: &Field) -> Vec<Candidate> {
    let mut found = Vec::new();
    let named = vec![field_words(entity, &field.name)];
    let with = |extra: &[&str]| named.iter().cloned().chain([list(extra)]).collect::<Vec<_>>();
    if field.required && !matches!(field.field_type, FieldType::Enum(_)) {
        let must = with(&["has", "have", "must", "needs", "need", "required", "requires", "without"]);
        let may = list(&["needs", "need", "required", "requires", "given", "refused", "rejected"]);
        found.push(candidate(
            entity,
            field,
            "the field is required",
            must,
            may,
            Sense::DeniedOr(&["has", "have", "must", "needs", "need", "required", "requires"]),
        ));
    }
    if field.unique {
        let must = with(&["unique", "twice", "duplicate", "same", "two", "once", "second"]);
        let may = list(&["share", "already", "exist", "refused", "rejected", "conflict", "used"]);
        found.push(candidate(entity, field, "the field is unique", must, may, Sense::DeniedOr(&["unique", "once"])));
    }
    if let FieldType::Enum(values) = &field.field_type {
        let must = values.iter().map(|value| vec![value.clone()]).collect();
        found.push(candidate(entity, field, "it lists the field's values", must, field_words(entity, &field.name), Sense::Affirmed));
    }
    if let Some(default) = field.default.as_ref().and_then(|value| value.as_str()).filter(|value| !value.is_empty()) {
        let must = vec![vec![default.to_owned()], list(&["new", "start", "initially", "default", "begin", "create"])];
        let may = field_words(entity, &field.name);
        let mut start = candidate(entity, field, "it names the field's default", must, may, Sense::Affirmed);
        start.explained_min = 3;
        found.push(start);
    }
    found.extend(bounds(entity, field, named));
    found
}

fn bounds(entity: &Entity, field: &Field, named: Vec<Vec<String>>) -> Option<Candidate> {
    let limits = &field.limits;
    let number = |value: &Option<Number>| value.as_ref().map(ToString::to_string);
    let (min, max, unit): (_, _, &[&str]) = if limits.length_min.is_some() || limits.length_max.is_some() {
        let text = |value: Option<u64>| value.map(|value| value.to_string());
        (text(limits.length_min), text(limits.length_max), &["character", "letter", "long", "longer", "item", "length"])
    } else {
        (number(&limits.min), number(&limits.max), &["star", "point", "negative", "value", "percent", "copy", "piece", "unit"])
    };
    if min.is_none() && max.is_none() {
        return None;
    }
    let mut may = list(unit);
    may.extend(list(&["between", "least", "most", "minimum", "maximum", "exceed", "range", "from", "inclusive", "than", "more", "less"]));
    let mut found =
        candidate(entity, field, "it names the field's limits", named, may, Sense::Range { min: min.clone(), max: max.clone() });
    found.numbers = min.into_iter().chain(max).collect();
    Some(found)
}
