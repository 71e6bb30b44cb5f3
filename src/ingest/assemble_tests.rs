//! Whole documents in, whole documents or findings out.

use proptest::prelude::*;

use super::super::{Ingested, read};
use crate::model::{SpecDocument, SpecFormat};

const BOOKSTORE: &str = include_str!("../../examples/bookstore.md");

fn lines(ingested: &Ingested) -> Vec<String> {
    let place = |finding: &crate::model::Finding| finding.position.map(|position| position.to_string()).unwrap_or_default();
    ingested.findings.iter().map(|finding| format!("{} {} {}", place(finding), finding.code, finding.message)).collect()
}

fn document(text: &str) -> SpecDocument {
    let ingested = read(text.as_bytes(), None, None);
    assert_eq!(lines(&ingested), Vec::<String>::new());
    ingested.document.expect("no finding, so there is a document")
}

#[test]
fn the_bookstore_is_read_whole() {
    insta::assert_json_snapshot!("bookstore", document(BOOKSTORE));
}

#[test]
fn the_examples_are_read_without_a_remark() {
    document(include_str!("../../examples/clinic.md"));
    let commerce = document(include_str!("../../examples/commerce.md"));
    assert!(commerce.entities.len() >= 25 && commerce.operations.iter().all(crate::model::Operation::derivable));
}

/// The same document as the model file has it, without what cannot be equal.
fn comparable(mut document: SpecDocument) -> serde_json::Value {
    fn without_positions(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(members) => {
                members.shift_remove("position");
                members.values_mut().for_each(without_positions);
            }
            serde_json::Value::Array(items) => items.iter_mut().for_each(without_positions),
            _ => {}
        }
    }
    document.content_hash.clear();
    document.format = SpecFormat::Markdown;
    let mut value = serde_json::to_value(document).expect("documents are JSON");
    without_positions(&mut value);
    value
}

#[test]
fn markdown_and_the_model_file_say_the_same() {
    let model = document(include_str!("testdata/bookstore.yaml"));
    assert_eq!(model.format, SpecFormat::Model);
    assert_eq!(comparable(document(BOOKSTORE)), comparable(model.clone()));
    let json: serde_json::Value = serde_saphyr::from_str(include_str!("testdata/bookstore.yaml")).expect("the file is YAML");
    assert_eq!(comparable(document(&json.to_string())), comparable(model));
}

#[test]
fn equal_bytes_give_equal_documents() {
    let commerce = include_str!("../../examples/commerce.md");
    assert_eq!(read(commerce.as_bytes(), None, None), read(commerce.as_bytes(), Some("other.md"), None));
}

/// A document with these rows of fields, endpoints and rules.
fn spec(fields: &str, endpoints: &str, rules: &str) -> String {
    let rows = |lines: &str| lines.lines().flat_map(|line| ["| ", line, " |\n"]).collect::<String>();
    let (fields, endpoints) = (rows(fields), rows(endpoints));
    let rules: String = rules.lines().flat_map(|line| ["- ", line, "\n"]).collect();
    format!(
        "# T\n\n## Entities\n\n### A\n\n| field | type | rules |\n| --- | --- | --- |\n{fields}\n### B\n\n| field | type |\n| --- | --- |\n| n | string |\n\n\
         ## Endpoints\n\n| method | path | purpose | entity |\n| --- | --- | --- | --- |\n{endpoints}\n## Rules\n\n{rules}"
    )
}

fn check(text: &str, expected: &[&str]) {
    let ingested = read(text.as_bytes(), None, Some(SpecFormat::Markdown));
    let place = |finding: &crate::model::Finding| finding.position.map(|position| position.to_string()).unwrap_or_default();
    let found: Vec<String> = ingested.findings.iter().map(|finding| format!("{} {}", place(finding), finding.code)).collect();
    assert_eq!(found, expected, "{text}\n{:#?}", ingested.findings);
    let error = ingested.findings.iter().any(|finding| finding.severity == crate::model::Severity::Error);
    assert_eq!(ingested.failed(), error);
    assert!(ingested.findings.iter().all(|finding| !finding.hint.is_empty() && !finding.message.is_empty()));
}

#[test]
fn bad_fields_are_findings() {
    for (row, expected) in [
        ("x | sting | ", "9:7 unknown-type"),
        ("x | ref(Nobody) | ", "9:7 unknown-entity"),
        ("x | string | uniqe", "9:16 bad-field-rule"),
        ("x | string | min 3", "9:16 bad-field-rule"),
        ("x | integer | length 1..3", "9:17 bad-field-rule"),
        ("x | integer | min 5, max 3", "9:17 bad-field-rule"),
        ("x | integer | max 3000000000", "9:17 bad-field-rule"),
        ("x | list(string) | unique", "9:22 bad-field-rule"),
        ("x | string | on delete cascade", "9:3 bad-field-rule"),
        ("x | integer | default many", "9:17 bad-default"),
        ("x | string | length 1..3, default long", "9:29 bad-default"),
        ("x | integer | required, default none", "9:27 bad-default"),
        ("x | enum(a, b) | default c", "9:20 bad-default"),
        ("x | A | required", "9:3 self-reference-required"),
        ("x | B | required, on delete set null", "9:3 set-null-required"),
        ("x | list(B) | ", "9:7 list-of-references"),
        ("x | object | ", "9:3 empty-object"),
        ("x | float | primary key", "9:3 key-type"),
        ("x.y | string | unique", "9:18 bad-field-rule"),
        ("x.y.z.a.b.c.d.e | string | ", "9:3 nested-too-deep"),
        ("../x | string | ", "9:3 empty-name"),
        ("x/y | string | ", "9:3 unsafe-name"),
        ("a..b | string | ", "9:3 empty-name"),
        ("x | string | read only, required", "9:16 bad-field-rule"),
        ("x | string | pattern `(`", "9:16 bad-field-rule"),
    ] {
        check(&spec(row, "", ""), &[expected]);
    }
    check(&spec("x | string | \nx | integer | ", "", ""), &["10:3 same-name"]);
    check(&spec("unitPrice | string | \nunit_price | integer | ", "", ""), &["10:3 same-name"]);
    check(&spec("b | B | \nb_id | string | ", "", ""), &["10:3 same-name"]);
    check(&spec("x | string | \nx.y | string | ", "", ""), &["10:3 not-an-object"]);
    check(&spec("x | uuid | primary key\ny | uuid | primary key", "", ""), &["10:3 two-keys"]);
    check(&spec(&format!("{} | string | ", "x".repeat(500)), "", ""), &["9:3 name-too-long"]);
}

#[test]
fn strange_but_sound_names_are_built() {
    let text = spec("class | string | \nGröße | integer | \n価格 | integer | \norder | integer | ", "GET | /as | list | A", "");
    check(&text, &[]);
    let idents: Vec<String> = document(&text).entities[0].fields.iter().map(|field| field.ident.clone()).collect();
    assert_eq!(idents[1..3], ["class_".to_owned(), "groesse".to_owned()]);
    assert!(idents[3].starts_with('h'), "{idents:?}");
}

#[test]
fn bad_endpoints_are_findings() {
    for (row, expected) in [
        ("FETCH | /as | list | A", "22:3 unknown-method"),
        ("GET | as | list | A", "22:9 bad-path"),
        ("GET | /../as | list | A", "22:9 bad-path"),
        ("GET | /as/{id}/{id} | read | A", "22:9 bad-path"),
        ("GET | /as | list | Nobody", "22:22 unknown-entity"),
        ("GET | /as | list; filter nothing | A", "22:28 unknown-field"),
        ("GET | /as | list; fliter x | A", "22:21 unknown-modifier"),
        ("GET | /as | list; search count | A", "22:28 bad-list-field"),
        ("GET | /as | list; page size 0 | A", "22:21 bad-page-size"),
        ("POST | /as/{id}/go | set count = many | A", "22:36 bad-assignment"),
        ("POST | /as/{id}/go | set nothing = 1 | A", "22:28 unknown-field"),
        ("GET | /as | list recommended rows | A", "22:3 underivable-endpoint"),
        ("POST | /as | list | A", "22:3 underivable-endpoint"),
        ("GET | /as | read | A", "22:3 underivable-endpoint"),
        ("GET | /bs/{b_id}/as | list | A", "22:3 underivable-endpoint"),
        ("POST | /login | check the password | ", "22:3 underivable-endpoint"),
    ] {
        check(&spec("x | string | \ncount | integer | ", row, ""), &[expected]);
    }
    check(
        &spec("x | string | \ny | string | ", "GET | /as/{id} | read | A\nGET | /as/{a_id} | read | A", ""),
        &["23:3 duplicate-endpoint"],
    );
}

#[test]
fn what_cannot_be_derived_says_why() {
    let text = spec("x | string | ", "GET | /as/{id} | recommend rows | A", "");
    let document = read(text.as_bytes(), None, None).document.expect("a warning is no error");
    let crate::model::Behaviour::Underivable { reason } = &document.operations[0].behaviour else { panic!("derived") };
    assert_eq!(reason, "nothing in the specification explains `recommend`");
    assert_eq!(document.operations[0].success(), None);
}

#[test]
fn actions_that_no_move_allows_are_findings() {
    let text =
        spec("s | enum(a, b, c) | required", "POST | /as/{id}/go | set s = a | A\nPOST | /as/{id}/on | set s = b | A", "A: s moves a -> b");
    check(&text, &["21:3 unreachable-action"]);
    check(&spec("s | enum(a, b) | default b", "", "A: s moves a -> b"), &["24:3 default-not-initial"]);
}

#[test]
fn bad_entities_are_findings() {
    let entity = |name: &str, rows: &str| format!("### {name}\n\n| field | type | rules |\n| --- | --- | --- |\n{rows}\n");
    let text = |entities: &[String]| format!("# T\n\n## Entities\n\n{}", entities.concat());
    check(&text(&[entity("A", "| b | B | required |\n"), entity("B", "| a | A | required |\n")]), &["9:3 circular-references"]);
    check(&text(&[entity("A", "| b | B | required |\n"), entity("B", "| a | A | |\n")]), &[]);
    check(&text(&[entity("Order item", "| a | text | |\n"), entity("OrderItem", "| a | text | |\n")]), &["11:5 same-name"]);
    check(&text(&[entity("A", "| a | text | |\n"), entity("A", "| a | text | |\n")]), &["11:5 same-name"]);
    check(&text(&[entity("../../etc", "| a | text | |\n")]), &["5:5 unsafe-name"]);
    check(&text(&[entity(&"x".repeat(500), "| a | text | |\n")]), &["5:5 name-too-long"]);
    check(&text(&[entity("None", "| a | text | |\n")]), &["5:5 renamed"]);
    check("# T\n\n## Entities\n\n### A\n", &["5:5 entity-without-fields"]);
    check("# T\n\n## Entities\n\n| field | type |\n| --- | --- |\n| a | text |\n", &["5:3 table-without-entity"]);
    check(
        "# T\n\n## Entities\n\n### A\n\n| name | kind |\n| --- | --- |\n| a | text |\n",
        &["5:5 entity-without-fields", "7:3 missing-column"],
    );
    check("## Entities\n\n### A\n\n| field | type |\n| --- | --- |\n| a | text |\n", &["1:1 missing-title"]);
}

#[test]
fn a_title_is_enough() {
    let document = document("# Größe – the *service*\n\n## Entities\n\n### A\n\n| field | type |\n| --- | --- |\n| a | text |\n");
    assert_eq!((document.title.as_str(), document.slug.as_str()), ("Größe – the service", "groesse-the-service"));
    check("# T\n", &[]);
}

#[test]
fn rows_made_below_a_parent_and_beside_it_have_a_schema_each() {
    let text = spec("b | B | required", "POST | /as | create | A\nPOST | /bs/{b_id}/as | create | A", "");
    let document = document(&text);
    let bodies: Vec<String> =
        document.operations.iter().map(|operation| format!("{:?}", operation.body.as_ref().map(|body| &body.shape.kind))).collect();
    assert_eq!(bodies, ["Some(Reference(\"ACreate\"))", "Some(Reference(\"ACreateInB\"))"]);
    assert!(document.schema("ACreateInB").is_some());
}

#[test]
fn hostile_inputs_are_refused_quickly() {
    let started = std::time::Instant::now();
    for text in
        ["> ".repeat(10_000), "- ".repeat(10_000), "[".repeat(200_000), format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000))]
    {
        for format in [None, Some(SpecFormat::Markdown), Some(SpecFormat::Model), Some(SpecFormat::Prose)] {
            let ingested = read(text.as_bytes(), None, format);
            assert!(ingested.failed() || ingested.findings.iter().any(|finding| finding.severity > crate::model::Severity::Info));
        }
    }
    // No claim about speed: a quadratic reader would take minutes here.
    assert!(started.elapsed().as_secs() < 60);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), format in 0_usize..4) {
        let format = [None, Some(SpecFormat::Markdown), Some(SpecFormat::Model), Some(SpecFormat::Prose)][format];
        let ingested = read(&bytes, None, format);
        prop_assert!(!ingested.findings.iter().any(|finding| finding.code == "reader-failed"));
    }

    #[test]
    fn mutilated_documents_never_panic(cut in 0_usize..3_000, length in 0_usize..40, insert in "[\\PC\n|`#()<>-]{0,12}", format in 0_usize..3) {
        let boundary = |at: usize| (0..=at.min(BOOKSTORE.len())).rev().find(|at| BOOKSTORE.is_char_boundary(*at)).unwrap_or(0);
        let (start, end) = (boundary(cut), boundary(cut + length));
        let text = format!("{}{insert}{}", &BOOKSTORE[..start], &BOOKSTORE[end..]);
        let format = [None, Some(SpecFormat::Markdown), Some(SpecFormat::Prose)][format];
        let ingested = read(text.as_bytes(), None, format);
        prop_assert!(!ingested.findings.iter().any(|finding| finding.code == "reader-failed"), "{:?}", ingested.findings);
    }

    #[test]
    fn arbitrary_rules_never_panic(rule in "(Book|Review)?:? ?[a-z_ =<>()+*,.\"0-9-]{0,60}") {
        let text = format!("{BOOKSTORE}\n## Rules\n\n- {rule}\n");
        let ingested = read(text.as_bytes(), None, None);
        prop_assert!(!ingested.findings.iter().any(|finding| finding.code == "reader-failed"));
    }
}
