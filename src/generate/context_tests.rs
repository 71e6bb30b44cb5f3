//! What the template of a group's tests is given: tests of every operation, each a list of lines.

use serde_json::{Value, json};

use super::context_factories::makeable;
use super::project::Project;
use super::tests_case::Case;
use super::tests_rows;
use super::{python, tests_list, tests_write};
use crate::model::Subject;
use crate::model::operation::{Behaviour, Operation, Status};
use crate::model::spec::{ErrorStyle, Group};

/// One test.
pub(super) struct Test {
    pub(super) name: String,
    pub(super) doc: String,
    /// Argument names of the parameters and the cases, when there are any.
    pub(super) cases: Option<(String, Vec<String>)>,
    pub(super) lines: Vec<String>,
    /// What it proves beside its operation.
    pub(super) proves: Vec<Subject>,
}

impl Test {
    pub(super) fn new(name: String, doc: &str, lines: Vec<String>) -> Self {
        Self { name, doc: doc.to_owned(), cases: None, lines, proves: Vec::new() }
    }

    pub(super) fn with_cases(self, names: &str, cases: Vec<String>) -> Self {
        Self { cases: Some((names.to_owned(), cases)), ..self }
    }
}

/// The context of a group's tests.
pub(super) fn context(project: &Project<'_>, group: &Group) -> Value {
    let operations: Vec<&Operation> = project.operations_in(group).collect();
    let bodies: Vec<Value> = operations.iter().filter_map(|operation| Case::of(project, operation)?.body_function()).collect();
    let tests: Vec<Value> = operations.iter().flat_map(|operation| tests(project, operation)).map(|test| rendered(&test)).collect();
    json!({ "title": group.title, "bodies": bodies, "tests": tests })
}

fn rendered(test: &Test) -> Value {
    let text = test.lines.join("\n");
    let mut arguments = Vec::new();
    for (word, declaration) in [("client", "client: TestClient"), ("session", "session: Session")] {
        if text.contains(word) {
            arguments.push(declaration.to_owned());
        }
    }
    if let Some((names, _)) = &test.cases {
        arguments.extend(names.split(", ").map(|name| if name == "value" { "value: object".to_owned() } else { format!("{name}: str") }));
    }
    let cases = test.cases.as_ref().map(|(names, cases)| {
        let names: Vec<String> = names.split(", ").map(python::text).collect();
        let names = if names.len() == 1 { names[0].clone() } else { format!("({})", names.join(", ")) };
        json!({ "names": names, "values": cases })
    });
    json!({ "name": test.name, "doc": test.doc, "arguments": arguments.join(", "), "cases": cases, "lines": test.lines })
}

/// The tests of one operation.
pub(super) fn tests(project: &Project<'_>, operation: &Operation) -> Vec<Test> {
    if let Behaviour::Underivable { .. } = operation.behaviour {
        return tests_rows::waiting(project, operation).into_iter().collect();
    }
    let Some(case) = Case::of(project, operation).filter(|case| makeable(project, case.names)) else {
        return Vec::new();
    };
    match &operation.behaviour {
        Behaviour::List(list) => tests_list::tests(&case, list),
        Behaviour::Create(_) => tests_write::create(&case),
        Behaviour::Replace(_) => tests_write::replace(&case),
        Behaviour::Patch(_) => tests_write::patch(&case),
        Behaviour::Read(_) => tests_rows::read(&case),
        Behaviour::Delete(_) => tests_rows::delete(&case),
        Behaviour::Act { set, .. } => tests_rows::act(&case, set),
        Behaviour::Underivable { .. } => Vec::new(),
    }
}

/// The status that really answers an error: the nearest one that the contract names for the operation.
pub(super) fn error_status(project: &Project<'_>, operation: &Operation, wanted: u16) -> u16 {
    let named = |code: u16| {
        operation.responses.iter().any(|response| match response.status {
            Status::Code(status) => status == code,
            Status::Range(hundred) => u16::from(hundred) == code / 100,
            Status::Default => true,
        })
    };
    if project.doc.errors == ErrorStyle::Problem || !super::context_errors::remap(project) || named(wanted) {
        return wanted;
    }
    let exact = |code: u16| operation.responses.iter().any(|response| response.status == Status::Code(code));
    [422, 400, 409, 404, 403, 401].into_iter().find(|code| exact(*code)).unwrap_or(wanted)
}
