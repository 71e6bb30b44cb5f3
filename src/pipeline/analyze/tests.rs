//! Statements and what they are linked to; contradictions and gaps; numbering.

use super::sample::{bookshop, compare, empty, entity, field, operation, reference, row, rule, statement};
use super::*;
use crate::model::operation::Behaviour;
use crate::model::rule::{Comparison, Expression};
use crate::model::{Method, RuleKind};

/// What a statement of the bookshop is about: the subject of its requirement, or the code of the finding about it.
fn linked(origin: StatementOrigin, text: &str) -> String {
    let mut document = bookshop();
    document.statements = vec![statement(70, origin, text)];
    let analysis = analyze(&document);
    let requirement = analysis.requirements.iter().find(|requirement| requirement.position == Some(Position::line(70))).unwrap();
    match &requirement.subject {
        Subject::Statement(_) => {
            let finding = analysis.findings.iter().find(|finding| finding.position == Some(Position::line(70))).unwrap();
            finding.code.clone()
        }
        subject => subject.to_string(),
    }
}

fn check(text: &str, expect: &str) {
    assert_eq!(linked(StatementOrigin::Criterion, text), expect, "{text}");
}

#[test]
fn criteria_that_restate_something_checked_are_linked_to_it() {
    check("A published book has a publication date.", "rule:Book/published_on-is-required-when-status-=-published");
    check("A book cannot be published without a publication date.", "rule:Book/published_on-is-required-when-status-=-published");
    check("An author with books cannot be deleted.", "field:Book.author");
    check("Deleting a book deletes its reviews.", "field:Review.book");
    check("Only draft books can be deleted.", "rule:Book/may-be-deleted-only-when-status-=-draft");
    check("A published book cannot be deleted.", "rule:Book/may-be-deleted-only-when-status-=-draft");
    check("A book cannot be deleted unless it is a draft.", "rule:Book/may-be-deleted-only-when-status-=-draft");
    check("The ISBN of a book never changes.", "rule:Book/isbn-never-changes");
    check("A retired book cannot be published again.", "rule:Book/status-moves-draft-->-published-->-retired");
    check("A reader reviews a book at most once.", "rule:Review/(book,-reader)-is-unique");
    check("The rating of a review is between 1 and 5.", "field:Review.rating");
    check("Every book has a title.", "field:Book.title");
    check("No two books share an ISBN.", "field:Book.isbn");
    check("A new book starts as draft.", "field:Book.status");
    check("Books can be retired.", "operation:POST /books/{id}/retire");
    check("As a seller, I want to create books so that they can be sold.", "operation:POST /books");
}

#[test]
fn sums_and_reasons_and_effects_of_actions_are_recognised() {
    let mut document = bookshop();
    let text = FieldType::Text;
    let sum = Expression::Arithmetic {
        left: Box::new(Expression::Field("goods_total".to_owned())),
        operator: '+',
        right: Box::new(Expression::Field("shipping_total".to_owned())),
    };
    let names = ["goods_total", "shipping_total", "grand_total"].map(|name| field(name, FieldType::Integer));
    book(&mut document).fields.extend(names);
    book(&mut document).fields.push(field("retired_because", text));
    let because = RuleKind::RequiredWhen { field: "retired_because".to_owned(), when: sample::is("status", "retired") };
    document.rules =
        vec![rule("Book", 50, "sum", RuleKind::Check(compare("grand_total", Comparison::Equal, sum))), rule("Book", 51, "reason", because)];
    let Some(Behaviour::Act { set, .. }) = document
        .operations
        .iter_mut()
        .map(|operation| &mut operation.behaviour)
        .find(|behaviour| matches!(behaviour, Behaviour::Act { .. }))
    else {
        panic!("the bookshop has an action")
    };
    set.push(("published_on".to_owned(), "today".into()));
    let mut check = |text: &str, expect: Option<&str>| {
        document.statements = vec![statement(70, StatementOrigin::Criterion, text)];
        let analysis = analyze(&document);
        let found = analysis.requirements.iter().find(|requirement| requirement.position == Some(Position::line(70))).unwrap();
        let subject = (!matches!(found.subject, Subject::Statement(_))).then(|| found.subject.to_string());
        assert_eq!(subject.as_deref(), expect, "{text}");
    };
    check("The grand total of a book is the sum of its goods and its shipping.", Some("rule:Book/sum"));
    check("The grand total of a book is the product of its goods and its shipping.", None);
    check("The grand total of a book is the sum of its goods.", None);
    check("A retired book says why it was retired.", Some("rule:Book/reason"));
    check("A retired book has a date.", Some("operation:POST /books/{id}/retire"));
    check("A retired book has a buyer.", None);
}

#[test]
fn criteria_that_say_something_else_stay_unverified() {
    check("A draft is only visible to its author.", "statement-unverified");
    check("The shop sends a mail when a book is published.", "statement-unverified");
    check("The rating of a review is between 1 and 10.", "statement-unverified");
    check("The rating of a review is at most 1.", "statement-unverified");
    check("A published book may lack its publication date and never needs one.", "statement-unverified");
    check("Two books may share an ISBN.", "statement-unverified");
    check("Books about cooking are recommended to readers.", "statement-unverified");
    check("Test coverage is at least 99 %.", "statement-unverified");
}

#[test]
fn criteria_that_say_the_opposite_are_contradictions() {
    check("A draft book cannot be deleted.", "contradiction");
    check("A published book can be deleted.", "contradiction");
    check("A published book cannot be retired.", "contradiction");
}

#[test]
fn demands_on_the_whole_project_are_linked_to_its_checks() {
    let check = |text: &str, expect: &str| assert_eq!(linked(StatementOrigin::NonFunctional, text), expect, "{text}");
    check("The service logs one structured line for each request.", "project:logs");
    check("Every list is paginated; a page holds at most 100 rows.", "project:paging");
    check("A page holds at most 50 rows.", "contradiction");
    check("Every endpoint is documented.", "project:documentation");
    check("Line coverage of the tests is at least 80 %.", "project:tests");
    check("It answers within 200 ms.", "statement-unverified");
}

#[test]
fn requirements_are_numbered_in_source_order_with_class_and_weight() {
    let analysis = analyze(&bookshop());
    let lines: Vec<_> = analysis.requirements.iter().map(|requirement| requirement.position.unwrap().line).collect();
    assert!(lines.is_sorted());
    assert_eq!(analysis.requirements[0].key, "R-001");
    let show =
        |requirement: &Requirement| format!("{} {:?} {} {}", requirement.key, requirement.class, requirement.weight, requirement.text);
    let shown: Vec<String> = analysis.requirements.iter().map(show).collect();
    insta::assert_snapshot!(shown.join("\n"), @r"
    R-001 Data 3 Author is stored with id, name, born_on
    R-002 Data 3 Author.name: required, unique
    R-003 Data 3 Book is stored with id, title, isbn, status, author, published_on
    R-004 Data 3 Book.title: required
    R-005 Data 3 Book.isbn: required, unique
    R-006 Data 3 Book.status: required, one of draft, published, retired
    R-007 Data 3 Book.author: required, refers to Author, which cannot be deleted meanwhile
    R-008 Data 3 Review is stored with id, book, reader, rating
    R-009 Data 3 Review.book: required, refers to Book and is deleted with it
    R-010 Data 3 Review.reader: required
    R-011 Data 3 Review.rating: required, at least 1, at most 5
    R-012 Api 3 GET /authors: list Author
    R-013 Api 3 POST /authors: create Author
    R-014 Api 3 GET /books: list Book
    R-015 Api 3 POST /books: create Book
    R-016 Api 3 PATCH /books/{id}: patch Book
    R-017 Api 3 DELETE /books/{id}: delete Book
    R-018 Api 3 POST /books/{id}/retire: set status = retired of Book
    R-019 Api 3 GET /reviews: list Review
    R-020 Api 3 POST /reviews: create Review
    R-021 Functional 3 Book: published_on is required when status = published
    R-022 Functional 3 Book: status moves draft -> published -> retired
    R-023 Functional 3 Book: isbn never changes
    R-024 Functional 3 Book: may be deleted only when status = draft
    R-025 Functional 3 Review: (book, reader) is unique
    R-026 NonFunctional 1 The service logs one structured line for each request.
    R-027 Constraint 1 Every list is paginated; a page holds at most 100 rows.
    R-028 Functional 3 A published book has a publication date.
    R-029 Functional 3 An author with books cannot be deleted.
    ");
    assert!(!analysis.contradictory());
}

#[test]
fn what_is_said_twice_counts_once() {
    let mut document = bookshop();
    document.statements = vec![
        statement(60, StatementOrigin::Criterion, "Books smell good."),
        statement(61, StatementOrigin::Criterion, "books  smell good"),
    ];
    let texts = analyze(&document).requirements;
    assert_eq!(texts.iter().filter(|requirement| requirement.text.to_lowercase().contains("smell")).count(), 1);
}

#[test]
fn classes_follow_section_and_words() {
    use RequirementClass as C;
    use StatementOrigin as O;
    let check = |origin, text: &str, class, priority| {
        let statement = statement(1, origin, text);
        assert_eq!((classify::class(&statement), classify::priority(text)), (class, priority), "{text}");
    };
    check(O::Criterion, "An author can be followed.", C::Functional, 3);
    check(O::Criterion, "A search must answer within 200 milliseconds.", C::Performance, 2);
    check(O::NonFunctional, "Passwords are stored encrypted.", C::Security, 3);
    check(O::NonFunctional, "A page holds at most 100 rows.", C::Constraint, 3);
    check(O::NonFunctional, "The code is pleasant.", C::NonFunctional, 3);
    check(O::UserStory, "As a reader I want a token.", C::Functional, 3);
    check(O::Prose, "The shop shall send a receipt.", C::Functional, 2);
    check(O::Prose, "Shops were founded in 1923.", C::NonFunctional, 3);
}

fn codes(change: impl FnOnce(&mut SpecDocument)) -> Vec<String> {
    let mut document = bookshop();
    document.statements.clear();
    change(&mut document);
    analyze(&document).findings.into_iter().map(|finding| finding.code).collect()
}

fn book(document: &mut SpecDocument) -> &mut Entity {
    document.entities.iter_mut().find(|entity| entity.name == "Book").unwrap()
}

#[test]
fn contradictions_are_errors_with_a_place() {
    let none: [&str; 0] = [];
    assert_eq!(codes(|_| ()), none);
    assert_eq!(codes(|document| book(document).fields[4].field_type = reference("Author", OnDelete::SetNull)), ["required-set-null"]);
    assert_eq!(codes(|document| book(document).fields[4].field_type = reference("Shop", OnDelete::Restrict)), ["unknown-entity"]);
    assert_eq!(codes(|document| book(document).fields[3].default = Some("sold".into())), ["default-out-of-range", "initial-state"]);
    assert_eq!(codes(|document| book(document).fields[1].limits.length_min = Some(3)), none);
    let crossed = Limits { length_min: Some(3), length_max: Some(2), ..Limits::default() };
    assert_eq!(codes(|document| book(document).fields[1].limits = crossed), ["empty-range"]);
    let over = |line, comparison, value: i64| {
        let condition = compare("rating", comparison, Expression::Literal(value.into()));
        rule("Review", line, &format!("rating {value}"), RuleKind::Check(condition))
    };
    assert_eq!(codes(|document| document.rules.push(over(55, Comparison::Greater, 4))), none);
    assert_eq!(codes(|document| document.rules.push(over(55, Comparison::Greater, 5))), ["contradictory-rules"]);
    let both = [over(55, Comparison::Greater, 3), over(56, Comparison::LessOrEqual, 3)];
    assert_eq!(codes(|document| document.rules.extend(both)), ["contradictory-rules"]);
    let gone = RuleKind::Immutable { field: "colour".to_owned() };
    assert_eq!(codes(|document| document.rules.push(rule("Book", 55, "colour never changes", gone))), ["unknown-field"]);
    let fixed = RuleKind::Immutable { field: "status".to_owned() };
    assert_eq!(codes(|document| document.rules.push(rule("Book", 55, "status never changes", fixed))), ["immutable-field-set"]);
    let sold = RuleKind::DeleteOnlyWhen(sample::is("status", "sold"));
    assert_eq!(codes(|document| document.rules.push(rule("Book", 55, "may be deleted only when status = sold", sold))), ["unknown-value"]);
    let resell = operation(
        Method::Post,
        "/books/{id}/draft",
        49,
        Behaviour::Act { row: row("Book"), set: vec![("status".to_owned(), "draft".into())] },
    );
    assert_eq!(codes(|document| document.operations.push(resell)), ["unreachable-state"]);
    let parent = Field { required: true, ..field("parent", reference("Node", OnDelete::Restrict)) };
    let ring = entity("Node", 80, vec![parent]);
    assert_eq!(codes(|document| document.entities.push(ring)), ["required-ring", "entity-without-endpoint"]);
}

#[test]
fn gaps_are_named() {
    assert_eq!(
        codes(|document| document.operations.retain(|operation| !operation.path.starts_with("/reviews"))),
        ["entity-without-endpoint"]
    );
    assert_eq!(codes(|document| document.operations.retain(|operation| operation.key != "POST /reviews")), ["entity-never-created"]);
    assert_eq!(codes(|document| document.operations.retain(|operation| operation.method != Method::Delete)), ["rule-without-endpoint"]);
    let login = operation(Method::Post, "/login", 49, Behaviour::Underivable { reason: "no stored entity explains it".to_owned() });
    assert_eq!(codes(|document| document.operations.push(login)), ["underivable-operation"]);
    let cascade = reference("Author", OnDelete::Cascade);
    assert_eq!(codes(|document| book(document).fields[4].field_type = cascade), ["cascade-past-rule"]);
}

#[test]
fn prose_is_kept_whole_and_reported_once() {
    let mut document = empty(SpecFormat::Prose);
    document.statements = (1..4).map(|line| statement(line, StatementOrigin::Prose, &format!("The user must see page {line}."))).collect();
    let analysis = analyze(&document);
    assert_eq!(analysis.requirements.len(), 3);
    assert_eq!(analysis.findings.iter().map(|finding| finding.code.as_str()).collect::<Vec<_>>(), ["prose-unverified"]);
}
