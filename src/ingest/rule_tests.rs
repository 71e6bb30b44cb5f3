//! Rules in, kinds or findings out.

use serde_json::json;

use super::super::draft::Text;
use super::*;
use crate::ingest::read as read_document;

const SHOP: &str = "\
# Shop

## Entities

### Author

| field | type | rules |
| --- | --- | --- |
| name | string | required |

### Book

| field | type | rules |
| --- | --- | --- |
| title | string | required |
| price | decimal(10,2) | |
| stock | integer | |
| reserved | integer | |
| active | boolean | |
| status | enum(draft, published, active, in-progress) | |
| author | Author | |
| editor | Author | |
| starts_on | date | |
| ends_on | date | |
| sold_at | datetime | |
| opens_at | time | |
| tags | list(string) | |
";

fn entities() -> Vec<Entity> {
    read_document(SHOP.as_bytes(), None, None).document.expect("sound").entities
}

fn outcome(text: &str) -> Read {
    read(&Text::new(text, Position::line(1)), &entities())
}

fn check(text: &str, expected: &serde_json::Value) {
    match outcome(&format!("Book: {text}")) {
        Read::Rule(rule) => assert_eq!(serde_json::to_value(&rule.kind).expect("rules are JSON"), *expected, "{text}"),
        other => panic!("{text}: {other:?}"),
    }
}

fn field(name: &str) -> serde_json::Value {
    json!({ "field": name })
}

fn compare(left: impl Into<serde_json::Value>, comparison: &str, right: impl Into<serde_json::Value>) -> serde_json::Value {
    let (left, right) = (left.into(), right.into());
    json!({ "compare": { "left": left, "comparison": comparison, "right": right } })
}

fn literal(value: impl Into<serde_json::Value>) -> serde_json::Value {
    let value = value.into();
    json!({ "literal": value })
}

#[test]
fn comparisons_are_checks() {
    let number = |left: &str, operator: &str, right: &str| json!({ "arithmetic": { "left": field(left), "operator": operator, "right": field(right) } });
    check("price >= 0", &json!({ "check": compare(field("price"), "greater_or_equal", literal(json!(0))) }));
    check("price >= -1.5", &json!({ "check": compare(field("price"), "greater_or_equal", literal(json!(-1.5))) }));
    check("ends_on > starts_on.", &json!({ "check": compare(field("ends_on"), "greater", field("starts_on")) }));
    check("starts_on >= 2026-01-31", &json!({ "check": compare(field("starts_on"), "greater_or_equal", literal(json!("2026-01-31"))) }));
    check("starts_on <= today", &json!({ "check": compare(field("starts_on"), "less_or_equal", json!("today")) }));
    check("sold_at <= now", &json!({ "check": compare(field("sold_at"), "less_or_equal", json!("now")) }));
    check("price = stock * reserved", &json!({ "check": compare(field("price"), "equal", number("stock", "*", "reserved")) }));
    check("(stock - reserved) >= 0", &json!({ "check": compare(number("stock", "-", "reserved"), "greater_or_equal", literal(json!(0))) }));
    check("title != \"none\"", &json!({ "check": compare(field("title"), "not_equal", literal(json!("none"))) }));
    check("author != editor", &json!({ "check": compare(field("author_id"), "not_equal", field("editor_id")) }));
    check("opens_at < 18:00", &json!({ "check": compare(field("opens_at"), "less", literal(json!("18:00"))) }));
}

#[test]
fn conditions_are_joined_and_grouped() {
    let price = || compare(field("price"), "greater", literal(json!(0)));
    let present = || json!({ "present": "title" });
    let absent = || json!({ "absent": "author_id" });
    check(
        "price > 0 or title is present and author is absent",
        &json!({ "check": { "any": [price(), { "all": [present(), absent()] }] } }),
    );
    check(
        "(price > 0 or title is present) and author is absent",
        &json!({ "check": { "all": [{ "any": [price(), present()] }, absent()] } }),
    );
    check(
        "status is one of draft, in-progress",
        &json!({ "check": { "one_of": { "field": "status", "values": ["draft", "in-progress"] } } }),
    );
    check("stock is one of (1, 2)", &json!({ "check": { "one_of": { "field": "stock", "values": [1, 2] } } }));
    check("status is not draft", &json!({ "check": compare(field("status"), "not_equal", literal(json!("draft"))) }));
    // A word that is a field and a value of the enum beside it is the value.
    check("status = active", &json!({ "check": compare(field("status"), "equal", literal(json!("active"))) }));
    check(
        "active when price > 0",
        &json!({ "implies": { "when": price(), "then": compare(field("active"), "equal", literal(json!(true))) } }),
    );
}

#[test]
fn every_other_kind_is_read() {
    let draft = || compare(field("status"), "equal", literal(json!("draft")));
    check("ends_on is required when status = draft", &json!({ "required_when": { "field": "ends_on", "when": draft() } }));
    check("ends_on is required", &json!({ "check": { "present": "ends_on" } }));
    check("(title, author, title) is unique", &json!({ "unique": ["title", "author_id"] }));
    check("title is unique", &json!({ "unique": ["title"] }));
    check(
        "status moves draft -> in-progress → published, draft -> active",
        &json!({ "transitions": { "field": "status", "edges": [["draft", "in-progress"], ["in-progress", "published"], ["draft", "active"]] } }),
    );
    check("title never changes", &json!({ "immutable": { "field": "title" } }));
    check("may be changed only when status = draft", &json!({ "change_only_when": draft() }));
    check("may be deleted only when status = draft", &json!({ "delete_only_when": draft() }));
    check("at most 3 per author", &json!({ "at_most": { "limit": 3, "per": "author_id", "when": null } }));
    check("at most 3 books per author when status = draft", &json!({ "at_most": { "limit": 3, "per": "author_id", "when": draft() } }));
}

#[test]
fn mistakes_are_placed_and_hinted() {
    for (text, expected) in [
        ("Book: prise >= 0", "1:7 unknown-field did you mean `price`?"),
        ("Bok: price >= 0", "1:1 unknown-entity did you mean `Book`?"),
        ("Book: status = drafd", "1:16 unknown-value write a value of its type, or a field"),
        ("Book: status moves draft -> publishd", "1:29 unknown-value did you mean `published`?"),
        ("Book: starts_on >= 3", "1:7 rule-type compare values of one type"),
        ("Book: starts_on >= sold_at", "1:7 rule-type compare values of one type"),
        ("Book: title > \"a\"", "1:7 rule-type use `=` or `!=`"),
        ("Book: 1 = 1", "1:7 rule-type name a field on one side"),
        ("Book: tags = title", "1:7 rule-type compare values of one type"),
        ("Book: price = title * 2", "1:15 rule-type use number fields and constants"),
        ("Book: (title, tags) is unique", "1:15 rule-type use a plain field, or make it an entity"),
        ("Book: title moves a -> b", "1:7 rule-type make it an enum, or write a comparison"),
        ("Book: at most 0 per author", "1:15 rule-type write a whole number above 0"),
        ("Book: starts_on = 2026-02-30", "1:19 unknown-value write a value of its type, or a field"),
    ] {
        let Read::Wrong(finding) = outcome(text) else { panic!("{text}: {:?}", outcome(text)) };
        assert_eq!(format!("{} {} {}", finding.position.expect("placed"), finding.code, finding.hint), expected, "{text}");
    }
}

#[test]
fn other_sentences_stay_statements_with_the_nearest_form() {
    for (text, hint) in [
        ("Book: a title must be unique for each author", "the nearest form is `Book: (title, author_id) is unique`"),
        ("Book: cannot be deleted while stock remains", "the nearest form is `Book: may be deleted only when stock is absent`"),
        (
            "Book: the status goes from draft to published",
            "the nearest form is `Book: status moves draft -> published -> active -> in-progress`",
        ),
        ("Book: the price includes tax", "the nearest form is `Book: price >= 0`"),
        ("Note that prices include tax", "write `Entity: …`, for example `Book: price >= 0`"),
        ("Attention: prices include tax", "begin the rule with the name of an entity and a colon"),
    ] {
        let Read::Statement(finding) = outcome(text) else { panic!("{text}: {:?}", outcome(text)) };
        assert_eq!((finding.severity, finding.hint.as_str()), (crate::model::Severity::Warning, hint), "{text}");
    }
}

#[test]
fn keys_and_identifiers_are_stable() {
    let Read::Rule(rule) = outcome("Book: price >= 0") else { panic!("not read") };
    assert_eq!(
        (rule.key.as_str(), rule.ident.as_str(), rule.text.as_str()),
        ("Book/price-at-least-0", "book_price_at_least_0", "price >= 0")
    );
    let Read::Rule(rule) = outcome("Book: ends_on is required when status = draft and starts_on is present and price > 3") else {
        panic!("not read")
    };
    assert!(rule.ident.len() <= RULE_IDENT_CHARS_MAX, "{}", rule.ident);
    assert!(matches!(rule.kind, RuleKind::RequiredWhen { when: Condition::All(_), .. }));
}

#[test]
fn nesting_is_bounded() {
    let deep = format!("Book: {}price{} > 0", "(".repeat(150), ")".repeat(150));
    assert!(matches!(outcome(&deep), Read::Statement(_)));
}
