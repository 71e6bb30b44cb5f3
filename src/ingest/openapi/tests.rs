//! Whole documents through the reader.

use serde_json::json;

use super::*;
use crate::model::entity::FieldSource;
use crate::model::operation::{FilterComparison, ListBehaviour};
use crate::model::shape::Additional;
use crate::model::{Behaviour, FieldType};

const INVENTORY: &str = include_str!("../../../tests/contract/inventory.yaml");
const NOTES: &str = include_str!("../../../tests/contract/notes.yaml");

fn ingest(text: &str) -> Ingested {
    super::super::read(text.as_bytes(), Some("api.yaml"), Some(SpecFormat::OpenApi))
}

fn document(text: &str) -> SpecDocument {
    let ingested = ingest(text);
    ingested.document.unwrap_or_else(|| panic!("no document: {:#?}", ingested.findings))
}

/// A document around the given paths and components.
fn around(paths: &str, components: &str) -> String {
    format!("openapi: 3.1.0\ninfo: {{title: T, version: '1'}}\npaths:\n{paths}\ncomponents:\n{components}\n")
}

/// A document with one schema `S` and one operation that shows it.
fn with_schema(schema: &str) -> String {
    let answer = "{description: x, content: {application/json: {schema: {$ref: '#/components/schemas/S'}}}}";
    around(&format!("  /s: {{get: {{responses: {{'200': {answer}}}}}}}"), &format!("  schemas:\n    S: {schema}\n    T: {{type: string}}"))
}

fn codes(text: &str) -> Vec<String> {
    ingest(text).findings.into_iter().map(|finding| finding.code).collect()
}

fn check_code(text: &str, code: &str) {
    let ingested = ingest(text);
    assert!(ingested.findings.iter().any(|finding| finding.code == code && finding.position.is_some()), "{code}: {:#?}", ingested.findings);
}

fn shape(schema: &str) -> Shape {
    document(&with_schema(schema)).schema("S").expect("the schema").shape.clone()
}

fn behaviour(document: &SpecDocument, key: &str) -> Behaviour {
    document.operation(key).unwrap_or_else(|| panic!("{key} is there")).behaviour.clone()
}

fn list(document: &SpecDocument, key: &str) -> ListBehaviour {
    match behaviour(document, key) {
        Behaviour::List(list) => list,
        other => panic!("{key} is {other:?}"),
    }
}

#[test]
fn every_operation_of_the_inventory_is_derived() {
    let document = document(INVENTORY);
    let verbs: Vec<String> =
        document.operations.iter().map(|operation| format!("{} {}", operation.key, operation.behaviour.verb())).collect();
    assert_eq!(
        verbs,
        [
            "GET /items list",
            "POST /items create",
            "GET /items/{id} read",
            "PUT /items/{id} replace",
            "DELETE /items/{id} delete",
            "GET /shelves list",
            "POST /shelves create",
            "GET /shelves/{shelfNumber} read",
            "GET /shelves/{shelfNumber}/counts list",
            "POST /shelves/{shelfNumber}/counts create",
        ]
    );
    assert_eq!(document.errors, ErrorStyle::Schema("Failure".to_owned()));
    assert_eq!(document.entities.iter().map(|entity| entity.table.as_str()).collect::<Vec<_>>(), ["items", "shelves", "counts"]);
}

#[test]
fn keys_are_the_servers_or_the_callers() {
    let document = document(INVENTORY);
    let key = |name: &str| document.entity(name).expect("the entity").key().clone();
    assert_eq!((key("Item").name.as_str(), key("Item").source), ("id", FieldSource::OnCreate));
    assert_eq!((key("Shelf").name.as_str(), key("Shelf").source), ("number", FieldSource::Client));
    let Behaviour::Read(row) = behaviour(&document, "GET /shelves/{shelfNumber}") else { panic!("a read") };
    assert_eq!((row.path[0].parameter.as_str(), row.path[0].field.as_str()), ("shelfNumber", "number"));
}

#[test]
fn filters_and_pages_come_from_the_query() {
    let inventory = document(INVENTORY);
    let items = list(&inventory, "GET /items");
    assert_eq!((items.filters[0].field.as_str(), items.filters[0].comparison), ("colour", FilterComparison::OneOf));
    let paging = items.paging.expect("pages");
    assert_eq!((paging.limit_default, paging.limit_max), (1_000, 1_000));
    assert_eq!(list(&inventory, "GET /shelves").paging.expect("pages").limit_max, 50);
    let notes = list(&document(NOTES), "GET /notes");
    let filters: Vec<_> =
        notes.filters.iter().map(|filter| (filter.parameter.as_str(), filter.field.as_str(), filter.comparison)).collect();
    assert_eq!(
        filters,
        [
            ("state", "state", FilterComparison::Equal),
            ("minPriority", "priority", FilterComparison::AtLeast),
            ("q", "title", FilterComparison::Contains),
        ]
    );
    assert_eq!(notes.sort.expect("an order").fields, ["title", "priority"]);
    let paging = notes.paging.expect("pages");
    assert_eq!((paging.offset.as_deref(), paging.limit_default, paging.pages), (Some("offset"), 20, false));
    let envelope = notes.envelope.expect("an envelope");
    assert_eq!((envelope.items.as_str(), envelope.total.as_deref()), ("notes", Some("notesCount")));
}

#[test]
fn children_hold_their_parent() {
    let document = document(NOTES);
    let comment = document.entity("Comment").expect("the entity");
    let field = comment.field("note_id").expect("the parent's key");
    assert!(matches!(&field.field_type, FieldType::Reference { entity, .. } if entity == "Note"));
    let Behaviour::Delete(row) = behaviour(&document, "DELETE /notes/{noteId}/comments/{id}") else { panic!("a delete") };
    let bound: Vec<_> = row.path.iter().map(|binding| (binding.parameter.as_str(), binding.field.as_str())).collect();
    assert_eq!(bound, [("noteId", "note_id"), ("id", "id")]);
}

#[test]
fn every_operation_of_the_catalogue_is_derived() {
    let document = document(include_str!("../../../tests/contract/catalogue.yaml"));
    assert!(document.operations.iter().all(Operation::derivable), "{:#?}", document.operations);
    let products = list(&document, "GET /products");
    let compared: Vec<_> = products.filters.iter().map(|filter| (filter.field.as_str(), filter.comparison)).collect();
    let expected = [
        ("active", FilterComparison::Equal),
        ("kind", FilterComparison::OneOf),
        ("released", FilterComparison::AtLeast),
        ("price", FilterComparison::AtMost),
    ];
    assert_eq!(compared, expected);
    let paging = products.paging.expect("pages");
    assert_eq!((paging.pages, paging.limit_default, paging.limit_max), (true, 10, 25));
    let envelope = products.envelope.expect("an envelope");
    assert_eq!((envelope.limit.as_deref(), envelope.offset.as_deref()), (Some("pageSize"), Some("page")));
    let review = document.entity("Review").expect("the entity");
    assert_eq!(review.key().source, FieldSource::OnCreate, "a read-only property is never the caller's");
    assert!(review.field("token").expect("the field").write_only);
    let properties = |name: &str| match &document.schema(name).expect("the schema").shape.kind {
        ShapeKind::Object(object) => object.properties.iter().map(|property| property.name.clone()).collect::<Vec<_>>(),
        _ => Vec::new(),
    };
    assert_eq!(properties("Review"), ["reviewId", "stars", "writtenBy", "text", "createdAt"]);
    assert_eq!(properties("ReviewInput"), ["stars", "writtenBy", "text", "token"]);
}

#[test]
fn envelopes_actions_and_changes_are_recognised() {
    let document = document(NOTES);
    let Behaviour::Create(row) = behaviour(&document, "POST /notes") else { panic!("a create") };
    assert_eq!((row.request_envelope.as_deref(), row.response_envelope.as_deref()), (Some("note"), Some("note")));
    assert!(
        matches!(behaviour(&document, "PUT /notes/{noteId}"), Behaviour::Patch(_)),
        "a body that requires nothing changes what is given"
    );
    let Behaviour::Act { set, .. } = behaviour(&document, "POST /notes/{noteId}/archive") else { panic!("an action") };
    assert_eq!(set, [("state".to_owned(), json!("archived"))]);
    let Behaviour::Underivable { reason } = behaviour(&document, "POST /notes/{noteId}/share") else { panic!("not derivable") };
    assert_eq!(reason, "nothing says what `share` changes in Note");
}

#[test]
fn fields_take_their_constraints_from_requests() {
    let document = document(NOTES);
    let note = document.entity("Note").expect("the entity");
    let of = |name: &str| note.field(name).expect("the field");
    assert!(of("title").required && of("title").limits.length_max == Some(120));
    assert_eq!((of("tagList").default.clone(), of("tagList").required), (Some(json!([])), true));
    assert!(!of("contact").required && of("contact").field_type == FieldType::Email);
    assert_eq!(of("source").field_type, FieldType::Url);
    assert_eq!((of("createdAt").source, of("updatedAt").source), (FieldSource::OnCreate, FieldSource::OnUpdate));
    assert_eq!((of("state").default.clone(), of("state").immutable), (Some(json!("draft")), false));
}

#[test]
fn webhooks_wait() {
    let document = document(NOTES);
    assert_eq!(document.stated_tasks.iter().map(|task| task.title.as_str()).collect::<Vec<_>>(), ["Send the webhook `noteArchived`"]);
    assert!(codes(NOTES).contains(&"outgoing-call".to_owned()));
}

#[test]
fn what_a_database_cannot_hold_is_named_once() {
    let findings = ingest(INVENTORY).findings;
    let named: Vec<_> = findings.iter().filter(|finding| finding.code == "nul-refused").collect();
    assert_eq!(named.len(), 1);
    assert!(named[0].message.contains("`Item.colour`"), "{}", named[0].message);
}

#[test]
fn types_become_shapes() {
    assert!(shape("{type: [string, 'null'], minLength: 2}").nullable);
    assert!(shape("{anyOf: [{type: integer}, {type: 'null'}]}").nullable);
    assert!(matches!(shape("{const: red}").kind, ShapeKind::Text { values, .. } if values == ["red"]));
    assert!(
        matches!(shape("{enum: [1, 2, null]}"), Shape { kind: ShapeKind::Integer { values, .. }, nullable: true, .. } if values == [1, 2])
    );
    assert!(matches!(shape("{type: [integer, string]}").kind, ShapeKind::OneOf { variants, .. } if variants.len() == 2));
    assert!(matches!(shape("{type: object}").kind, ShapeKind::Object(object) if matches!(object.additional, Additional::Values(_))));
    assert!(matches!(shape("{type: number, exclusiveMinimum: 3}").kind, ShapeKind::Number { limits, .. } if limits.min_exclusive));
    let discriminated =
        "{oneOf: [{type: object, properties: {k: {type: string}}}, {$ref: '#/components/schemas/T'}], discriminator: {propertyName: k}}";
    assert!(matches!(shape(discriminated).kind, ShapeKind::OneOf { discriminator: Some(name), .. } if name == "k"));
}

#[test]
fn all_of_is_merged_and_disagreement_is_reported() {
    let merged = shape(
        "{allOf: [{type: object, properties: {a: {type: string, maxLength: 9}}}, {required: [a], properties: {a: {minLength: 2, maxLength: 5}}}]}",
    );
    let ShapeKind::Object(object) = merged.kind else { panic!("an object") };
    assert!(object.properties[0].required);
    assert!(
        matches!(&object.properties[0].shape.kind, ShapeKind::Text { limits, .. } if (limits.length_min, limits.length_max) == (Some(2), Some(5)))
    );
    check_code(
        &with_schema("{allOf: [{type: object, properties: {a: {type: string}}}, {properties: {a: {type: integer}}}]}"),
        "conflicting-all-of",
    );
}

#[test]
fn references_may_be_cyclic_but_not_loop() {
    let cyclic = shape(
        "{type: object, properties: {next: {$ref: '#/components/schemas/S'}, all: {type: array, items: {$ref: '#/components/schemas/S'}}}}",
    );
    let ShapeKind::Object(object) = cyclic.kind else { panic!("an object") };
    assert_eq!(object.properties[0].shape.kind, ShapeKind::Reference("S".to_owned()));
    check_code(&with_schema("{$ref: '#/components/schemas/S'}"), "looping-reference");
    check_code(&with_schema("{allOf: [{$ref: '#/components/schemas/S'}]}"), "looping-reference");
    check_code(&with_schema("{type: object, properties: {a: {$ref: '#/components/schemas/S/properties/a'}}}"), "looping-reference");
}

#[test]
fn references_that_lead_nowhere_are_errors() {
    check_code(&with_schema("{$ref: '#/components/schemas/Missing'}"), "dangling-reference");
    check_code(&with_schema("{$ref: 'other.yaml#/S'}"), "foreign-reference");
    check_code(&with_schema("{$ref: '/etc/passwd'}"), "foreign-reference");
    check_code(&with_schema("{$ref: 'https://example.org/s.yaml'}"), "foreign-reference");
    assert!(ingest(&with_schema("{$ref: '#/components/schemas/Missing'}")).failed());
}

#[test]
fn long_chains_of_schemas_are_refused() {
    let chain = |link: fn(usize) -> String| {
        #[expect(clippy::format_collect, reason = "a test document, made once")]
        let schemas: String = (0..2_000).map(|number| format!("    C{number}: {}\n", link(number + 1))).collect();
        with_schema("{type: string}")
            .replace("    T: {type: string}", &format!("{schemas}    C2000: {{type: object, properties: {{a: {{type: string}}}}}}"))
    };
    check_code(
        &chain(|next| format!("{{allOf: [{{$ref: '#/components/schemas/C{next}'}}, {{properties: {{b: {{type: string}}}}}}]}}")),
        "too-deep",
    );
    check_code(
        &chain(|next| format!("{{type: object, properties: {{a: {{$ref: '#/components/schemas/C{next}/properties/a'}}}}}}")),
        "too-deep",
    );
}

#[test]
fn defects_of_the_document_are_named() {
    let operation = "{operationId: one, responses: {'200': {description: x}}}";
    check_code(&around(&format!("  /a: {{get: {operation}}}\n  /b: {{get: {operation}}}"), "  {}"), "duplicate-operation-id");
    check_code(&around(&format!("  /a/{{x}}: {{get: {operation}}}\n  /a/{{y}}: {{get: {operation}}}"), "  {}"), "same-path");
    check_code(&around(&format!("  /a/../b: {{get: {operation}}}"), "  {}"), "unusable-path");
    check_code(&around(&format!("  a: {{get: {operation}}}"), "  {}"), "unusable-path");
    check_code(&around("  /a: {get: {responses: {'900': {description: x}}}}", "  {}"), "malformed-status");
    check_code(&around(&format!("  /a/{{x}}: {{get: {operation}}}"), "  {}"), "undescribed-parameter");
    check_code(&with_schema("{type: strnig}"), "unknown-type");
    check_code(&with_schema("{not: {type: string}}"), "unsupported-keyword");
    check_code(&with_schema(&format!("{{type: object, properties: {{{}: {{type: string}}}}}}", "x".repeat(500))), "unusable-name");
    check_code(&with_schema("{type: object, properties: {\"a\\0b\": {type: string}}}"), "unusable-name");
    check_code("openapi: 2.0.0\npaths: {}\n", "unsupported-version");
    check_code("swagger: '2.0'\npaths: {}\n", "unsupported-version");
    check_code("openapi: 3.0.0\npaths: {}\n", "no-operations");
}

#[test]
fn names_that_become_the_same_stay_apart() {
    let ShapeKind::Object(object) = shape(
        "{type: object, properties: {user-id: {type: string}, user_id: {type: string}, class: {type: string}, größe: {type: string}}}",
    )
    .kind
    else {
        panic!("an object")
    };
    let idents: Vec<&str> = object.properties.iter().map(|property| property.ident.as_str()).collect();
    assert_eq!(idents, ["user_id", "user_id_2", "class_", "groesse"]);
}

#[test]
fn inline_objects_are_named_after_their_place() {
    let document = document(INVENTORY);
    let ShapeKind::Object(object) = &document.schema("NewItem").expect("the schema").shape.kind else { panic!("an object") };
    let size = object.properties.iter().find(|property| property.name == "size").expect("the property");
    assert_eq!(size.shape.kind, ShapeKind::Reference("NewItemSize".to_owned()));
    assert!(document.schema("NewItemSize").is_some_and(|schema| schema.position.is_some()));
}

#[test]
fn operations_that_demand_identity_wait() {
    let text = NOTES.replace("      operationId: DeleteNote", "      operationId: DeleteNote\n      security: [{Key: []}]")
        + "  securitySchemes:\n    Key: {type: apiKey, in: header, name: X-Key}\n";
    let Behaviour::Underivable { reason } = behaviour(&document(&text), "DELETE /notes/{noteId}") else { panic!("not derivable") };
    assert_eq!(reason, "it demands `Key` (apiKey in header X-Key), and nothing says how callers are issued one and told apart");
}

#[test]
fn failures_that_the_document_does_not_answer_are_named() {
    assert!(!codes(NOTES).contains(&"undocumented-failure".to_owned()));
    let text = NOTES
        .replace("        '404': {$ref: '#/components/responses/Problems'}\n", "")
        .replace("        '422': {$ref: '#/components/responses/Problems'}\n", "");
    assert!(codes(&text).contains(&"undocumented-failure".to_owned()));
    let optional = INVENTORY.replace("required: true\n        content:", "content:");
    assert!(codes(&optional).contains(&"optional-body".to_owned()));
}

#[test]
fn json_reads_as_yaml_does() {
    let root = tree::parse(INVENTORY).expect("readable");
    let json = serde_json::to_string_pretty(&root.value()).expect("writable");
    let strip = |mut document: SpecDocument| {
        document.content_hash.clear();
        document.operations.iter_mut().for_each(|operation| operation.position = None);
        document.schemas.iter_mut().for_each(|schema| schema.position = None);
        document.entities.iter_mut().for_each(|entity| entity.position = None);
        document
    };
    assert_eq!(strip(document(INVENTORY)), strip(document(&json)));
}

#[test]
fn third_party_documents_are_read() {
    let Some(folder) = std::env::var_os("SPECWAVE_REAL_INPUTS") else {
        println!("skipped: SPECWAVE_REAL_INPUTS is not set");
        return;
    };
    for (name, derivable, all) in [("petstore.yaml", 3, 3), ("petstore-expanded.yaml", 4, 4), ("realworld.yaml", 0, 19)] {
        let text = std::fs::read_to_string(std::path::Path::new(&folder).join("openapi").join(name)).expect("the input is readable");
        let document = document(&text);
        let built = document.operations.iter().filter(|operation| operation.derivable()).count();
        for operation in &document.operations {
            println!("{name} {} {:?}", operation.key, operation.behaviour);
        }
        assert_eq!((built, document.operations.len()), (derivable, all), "{name}");
        let unexplained = |operation: &&Operation| matches!(&operation.behaviour, Behaviour::Underivable { reason } if reason.is_empty());
        assert_eq!(document.operations.iter().find(unexplained), None, "{name}");
    }
}

mod mutated {
    use proptest::prelude::*;

    use super::*;

    /// Replaces a line by another one, doubles it, cuts it or shifts it.
    fn mutate(text: &str, edits: &[(usize, usize, u8)]) -> String {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for (at, other, how) in edits {
            let at = at % lines.len();
            let other = lines[other % lines.len()].clone();
            match how % 5 {
                0 => lines[at] = other,
                1 => lines.insert(at, other),
                2 => drop(lines.remove(at)),
                3 => lines[at] = format!("  {}", lines[at]),
                _ => lines[at] = lines[at].chars().take(lines[at].chars().count() / 2).collect(),
            }
            if lines.is_empty() {
                lines.push(String::new());
            }
        }
        lines.join("\n")
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

        #[test]
        fn a_damaged_document_is_read_or_refused_with_a_reason(which in 0..2_usize, edits in prop::collection::vec((any::<usize>(), any::<usize>(), any::<u8>()), 1..6)) {
            let text = mutate([INVENTORY, NOTES][which], &edits);
            let ingested = ingest(&text);
            prop_assert!(!ingested.findings.iter().any(|finding| finding.code == "reader-failed"), "{:#?}\n{text}", ingested.findings);
            if let Some(document) = &ingested.document {
                for entity in &document.entities {
                    prop_assert_eq!(entity.fields.iter().filter(|field| field.primary_key).count(), 1);
                }
                for operation in &document.operations {
                    prop_assert!(operation.behaviour.entity().is_none_or(|name| document.entity(name).is_some()));
                }
            } else {
                prop_assert!(!ingested.findings.is_empty());
            }
        }
    }
}
