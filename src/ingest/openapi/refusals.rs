//! Documents that are refused: each with what is wrong, where it stands, and what to do.

use super::super::{Ingested, limits, read};
use crate::model::{Severity, SpecFormat};

fn ingest(text: &str) -> Ingested {
    read(text.as_bytes(), Some("api.yaml"), Some(SpecFormat::OpenApi))
}

/// The document is refused with an error of that code at that line (0: it has no place), and the error says what to do.
fn check(text: &str, code: &str, line: u32) {
    let ingested = ingest(text);
    assert!(ingested.failed(), "{code} is no reason to refuse:\n{text}");
    let found = ingested.findings.iter().find(|finding| finding.code == code && finding.severity == Severity::Error);
    let found = found.unwrap_or_else(|| panic!("{code}: {:#?}", ingested.findings));
    assert_eq!(found.position.map_or(0, |position| position.line), line, "{found:#?}");
    assert!(!found.hint.is_empty() && !found.message.is_empty(), "{found:#?}");
    assert!(
        found.message.chars().count() < 300 && !found.message.contains(char::is_control),
        "foreign text is quoted with care: {found:#?}"
    );
}

/// One operation whose answer is that schema, and other schemas (lines of six columns).
fn answering(schema: &str, others: &str) -> String {
    format!(
        "openapi: 3.0.3\ninfo: {{title: T, version: '1'}}\npaths:\n  /s:\n    get:\n      responses:\n        '200':\n          description: x\n          \
         content: {{application/json: {{schema: {{$ref: '#/components/schemas/S'}}}}}}\ncomponents:\n  schemas:\n    S: {schema}\n{others}"
    )
}

/// The line on which [`answering`] puts its schema.
const SCHEMA: u32 = 12;

/// Paths below a head of three lines.
fn paths(text: &str) -> String {
    format!("openapi: 3.1.0\ninfo: {{title: T, version: '1'}}\npaths:\n{text}")
}

const ANSWERS: &str = "responses: {'200': {description: x}}";

#[test]
fn references_that_dangle_loop_or_leave_the_document() {
    check(&answering("{$ref: '#/components/schemas/Gone'}", ""), "dangling-reference", SCHEMA);
    check(&answering("{$ref: '#/components/schemas/S/properties/gone'}", ""), "dangling-reference", SCHEMA);
    check(&answering("{$ref: '#Gone'}", ""), "dangling-reference", SCHEMA);
    check(&answering("{$ref: '#/components/schemas/S'}", ""), "looping-reference", SCHEMA);
    check(&answering("{$ref: '#/components/schemas/T'}", "    T: {$ref: '#/components/schemas/S'}\n"), "looping-reference", SCHEMA);
    check(&answering("{allOf: [{$ref: '#/components/schemas/S'}]}", ""), "looping-reference", SCHEMA);
    for elsewhere in
        ["other.yaml", "./other.yaml#/S", "../../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "https://example.org/s.yaml#/S"]
    {
        check(&answering(&format!("{{$ref: '{elsewhere}'}}"), ""), "foreign-reference", SCHEMA);
    }
    for (place, code) in [("'#/components/parameters/Gone'", "dangling-reference"), ("'common.yaml#/P'", "foreign-reference")] {
        check(&paths(&format!("  /a:\n    get:\n      parameters: [{{$ref: {place}}}]\n      {ANSWERS}\n")), code, 6);
        check(&paths(&format!("  /a:\n    post:\n      requestBody: {{$ref: {place}}}\n      {ANSWERS}\n")), code, 6);
        check(&paths(&format!("  /a:\n    get:\n      responses: {{'200': {{$ref: {place}}}}}\n")), code, 6);
    }
}

#[test]
fn what_is_said_twice() {
    let operation = format!("{{operationId: same, {ANSWERS}}}");
    check(&paths(&format!("  /a: {{get: {operation}}}\n  /b:\n    get: {operation}\n")), "duplicate-operation-id", 6);
    check(&paths(&format!("  /a: {{get: {operation}}}\n  /a: {{get: {operation}}}\n")), "duplicate-key", 5);
    check(&paths(&format!("  /a/{{x}}: {{get: {{{ANSWERS}}}}}\n  /a/{{y}}: {{get: {{{ANSWERS}}}}}\n")), "same-path", 5);
    check("{\"openapi\": \"3.0.0\",\n \"paths\": {},\n \"paths\": {}}", "duplicate-key", 3);
}

#[test]
fn more_than_is_read() {
    let mut bomb = String::from("openapi: 3.1.0\nx0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let uses = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb += &["x", &level.to_string(), ": &a", &level.to_string(), " [", &uses, "]\n"].concat();
    }
    check(&bomb, "too-many-values", 7);
    check(&format!("openapi: 3.1.0\npaths: {}{}", "[".repeat(10_000), "]".repeat(10_000)), "too-deep", 2);
    check(&format!("{{\"openapi\": \"3.1.0\",\n\"paths\": {}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_001)), "too-deep", 2);
    let nested: String = (0..1_000).map(|level| " ".repeat(level) + "a:\n").collect();
    check(&format!("openapi: 3.1.0\n{nested}"), "too-deep", 1 + u32::try_from(limits::DEPTH_MAX).expect("small") + 1);
    check(&("openapi: 3.1.0\n".to_owned() + &"# padding\n".repeat(5 * 1024 * 1024)), "input-too-large", 0);
    let pad = |text: &str| text.to_owned() + &"x".repeat(500);
    check(&answering(&format!("{{type: object, properties: {{{}: {{type: string}}}}}}", pad("")), ""), "unusable-name", SCHEMA);
    check(&answering("{type: string}", &format!("    {}: {{type: string}}\n", pad(""))), "unusable-name", SCHEMA + 1);
    check(
        &paths(&format!(
            "  /a:\n    get:\n      parameters: [{{name: {}, in: query, schema: {{type: string}}}}]\n      {ANSWERS}\n",
            pad("")
        )),
        "unusable-name",
        6,
    );
}

#[test]
fn mappings_of_many_keys_are_read_in_one_pass() {
    let wide = (0..100_000).map(|number| format!("  k{number}: 1\n")).collect::<Vec<_>>().concat();
    check(&format!("{}x-wide:\n{wide}  k0: 2\n", paths(&format!("  /a: {{get: {{{ANSWERS}}}}}\n"))), "duplicate-key", 100_006);
}

#[test]
fn names_and_paths_that_cannot_be() {
    check(&answering("{type: object, properties: {\"a\\0b\": {type: string}}}", ""), "unusable-name", SCHEMA);
    check(&answering("{type: object, properties: {'': {type: string}}}", ""), "unusable-name", SCHEMA);
    check(&answering("{type: string}", "    \"a\\nb\": {type: string}\n"), "unusable-name", SCHEMA + 1);
    for path in ["a", "/a/../b", "/..", "\"/a\\0\"", "/a?b=c", "/a/{x", "/a b"] {
        check(&paths(&format!("  {path}: {{get: {{{ANSWERS}}}}}\n")), "unusable-path", 4);
    }
}

#[test]
fn versions_and_types_that_are_not_known() {
    check("swagger: '2.0'\ninfo: {title: T, version: '1'}\npaths: {}\n", "unsupported-version", 1);
    check("openapi: 2.0.0\npaths: {}\n", "unsupported-version", 1);
    check("openapi: 3.2.0\npaths: {}\n", "unsupported-version", 1);
    check("openapi: [3]\npaths: {}\n", "unsupported-version", 1);
    check("info: {title: T}\npaths: {}\n", "unsupported-version", 0);
    check("openapi: 3.1.0\ninfo: {title: T}\npaths: {}\n", "no-operations", 3);
    check(&answering("{type: strnig}", ""), "unknown-type", SCHEMA);
    check(&answering("{type: [string, strnig]}", ""), "unknown-type", SCHEMA);
    check(&answering("strnig", ""), "malformed-schema", SCHEMA);
    check("openapi: 3.1.0\npaths: [1, 2\n", "malformed", 2);
}
