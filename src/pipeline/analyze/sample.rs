//! A small bookshop, put together by hand, for the tests of analysis and planning.

use crate::model::entity::{Field, FieldSource, FieldType, Limits, OnDelete};
use crate::model::operation::{Behaviour, ListBehaviour, Paging, RowBehaviour};
use crate::model::rule::{Comparison, Condition, Expression};
use crate::model::spec::{ErrorStyle, Group, Statement, StatementOrigin};
use crate::model::{Entity, Method, Operation, Position, Rule, RuleKind, SpecDocument, SpecFormat};

pub(crate) fn field(name: &str, field_type: FieldType) -> Field {
    Field {
        name: name.to_owned(),
        ident: name.to_owned(),
        field_type,
        required: false,
        primary_key: false,
        unique: false,
        indexed: false,
        source: FieldSource::Client,
        default: None,
        limits: Limits::default(),
        write_only: false,
        immutable: false,
        description: String::new(),
        position: None,
    }
}

pub(crate) fn entity(name: &str, line: u32, fields: Vec<Field>) -> Entity {
    let key = Field { primary_key: true, required: true, source: FieldSource::OnCreate, ..field("id", FieldType::Uuid) };
    let mut all = vec![key];
    all.extend(fields.into_iter().zip(line + 1..).map(|(field, line)| Field { position: Some(Position::line(line)), ..field }));
    let ident = name.to_lowercase();
    let table = format!("{ident}s");
    Entity { name: name.to_owned(), ident, table, description: String::new(), fields: all, position: Some(Position::line(line)) }
}

pub(crate) fn reference(target: &str, on_delete: OnDelete) -> FieldType {
    FieldType::Reference { entity: target.to_owned(), on_delete }
}

pub(crate) fn is(field: &str, value: &str) -> Condition {
    compare(field, Comparison::Equal, Expression::Literal(value.into()))
}

pub(crate) fn compare(field: &str, comparison: Comparison, right: Expression) -> Condition {
    Condition::Compare { left: Expression::Field(field.to_owned()), comparison, right }
}

pub(crate) fn rule(entity: &str, line: u32, text: &str, kind: RuleKind) -> Rule {
    let key = format!("{entity}/{}", text.replace(' ', "-"));
    Rule { key, ident: format!("rule_{line}"), entity: entity.to_owned(), text: text.to_owned(), kind, position: Position::line(line) }
}

pub(crate) fn statement(line: u32, origin: StatementOrigin, text: &str) -> Statement {
    Statement { text: text.to_owned(), section: "Acceptance criteria".to_owned(), origin, position: Position::line(line) }
}

pub(crate) fn row(entity: &str) -> RowBehaviour {
    RowBehaviour { entity: entity.to_owned(), path: Vec::new(), request_envelope: None, response_envelope: None }
}

pub(crate) fn list(entity: &str) -> Behaviour {
    let paging = Paging { limit: "limit".to_owned(), offset: None, pages: false, limit_default: 20, limit_max: 100 };
    let (filters, sort, envelope) = (Vec::new(), None, None);
    Behaviour::List(ListBehaviour { entity: entity.to_owned(), path: Vec::new(), filters, sort, paging: Some(paging), envelope })
}

pub(crate) fn operation(method: Method, path: &str, line: u32, behaviour: Behaviour) -> Operation {
    let key = format!("{method} {path}");
    Operation {
        operation_id: key.clone(),
        ident: format!("operation_{line}"),
        key,
        method,
        path: path.to_owned(),
        group: "books".to_owned(),
        summary: String::new(),
        description: String::new(),
        parameters: Vec::new(),
        body: None,
        responses: Vec::new(),
        security: Vec::new(),
        behaviour,
        position: Some(Position::line(line)),
    }
}

pub(crate) fn empty(format: SpecFormat) -> SpecDocument {
    SpecDocument {
        title: "Bookshop".to_owned(),
        slug: "bookshop".to_owned(),
        version: None,
        summary: String::new(),
        format,
        content_hash: "0".repeat(64),
        entities: Vec::new(),
        schemas: Vec::new(),
        operations: Vec::new(),
        groups: Vec::new(),
        rules: Vec::new(),
        errors: ErrorStyle::Problem,
        security_schemes: Vec::new(),
        statements: Vec::new(),
        stated_tasks: Vec::new(),
        tech_stack: Vec::new(),
    }
}

pub(crate) fn bookshop() -> SpecDocument {
    let status = FieldType::Enum(["draft", "published", "retired"].map(str::to_owned).to_vec());
    let author = entity(
        "Author",
        10,
        vec![Field { required: true, unique: true, ..field("name", FieldType::Text) }, field("born_on", FieldType::Date)],
    );
    let rating = Limits { min: Some(1.into()), max: Some(5.into()), ..Limits::default() };
    let book = entity(
        "Book",
        20,
        vec![
            Field { required: true, ..field("title", FieldType::Text) },
            Field { required: true, unique: true, ..field("isbn", FieldType::Text) },
            Field { required: true, default: Some("draft".into()), ..field("status", status) },
            Field { required: true, ..field("author", reference("Author", OnDelete::Restrict)) },
            field("published_on", FieldType::Date),
        ],
    );
    let review = entity(
        "Review",
        30,
        vec![
            Field { required: true, ..field("book", reference("Book", OnDelete::Cascade)) },
            Field { required: true, ..field("reader", FieldType::Text) },
            Field { required: true, limits: rating, ..field("rating", FieldType::Integer) },
        ],
    );
    let retire = Behaviour::Act { row: row("Book"), set: vec![("status".to_owned(), "retired".into())] };
    let operations = vec![
        operation(Method::Get, "/authors", 40, list("Author")),
        operation(Method::Post, "/authors", 41, Behaviour::Create(row("Author"))),
        operation(Method::Get, "/books", 42, list("Book")),
        operation(Method::Post, "/books", 43, Behaviour::Create(row("Book"))),
        operation(Method::Patch, "/books/{id}", 44, Behaviour::Patch(row("Book"))),
        operation(Method::Delete, "/books/{id}", 45, Behaviour::Delete(row("Book"))),
        operation(Method::Post, "/books/{id}/retire", 46, retire),
        operation(Method::Get, "/reviews", 47, list("Review")),
        operation(Method::Post, "/reviews", 48, Behaviour::Create(row("Review"))),
    ];
    let edge = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    let moves = vec![edge("draft", "published"), edge("published", "retired")];
    let dated = RuleKind::RequiredWhen { field: "published_on".to_owned(), when: is("status", "published") };
    let rules = vec![
        rule("Book", 50, "published_on is required when status = published", dated),
        rule("Book", 51, "status moves draft -> published -> retired", RuleKind::Transitions { field: "status".to_owned(), edges: moves }),
        rule("Book", 52, "isbn never changes", RuleKind::Immutable { field: "isbn".to_owned() }),
        rule("Book", 53, "may be deleted only when status = draft", RuleKind::DeleteOnlyWhen(is("status", "draft"))),
        rule("Review", 54, "(book, reader) is unique", RuleKind::Unique(vec!["book".to_owned(), "reader".to_owned()])),
    ];
    let keys = operations.iter().map(|operation| operation.key.clone()).collect();
    let groups = vec![Group { slug: "books".to_owned(), title: "Books".to_owned(), description: String::new(), operations: keys }];
    let statements = vec![
        statement(60, StatementOrigin::NonFunctional, "The service logs one structured line for each request."),
        statement(61, StatementOrigin::NonFunctional, "Every list is paginated; a page holds at most 100 rows."),
        statement(63, StatementOrigin::Criterion, "A published book has a publication date."),
        statement(64, StatementOrigin::Criterion, "An author with books cannot be deleted."),
    ];
    SpecDocument { entities: vec![author, book, review], operations, groups, rules, statements, ..empty(SpecFormat::Markdown) }
}
