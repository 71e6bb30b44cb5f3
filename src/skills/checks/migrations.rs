//! Migrations: every step has its way back.

use super::functions::functions;
use super::structure::docstring;
use super::{Check, Code};
use crate::skills::Language;
use crate::skills::skill::Parameters;
use crate::skills::syntax::Node;
use crate::skills::verdict::Problem;

pub(super) const CHECKS: &[Check] = &[
    Check::tree("migration-downgrade", &[Language::Python, Language::JavaScript, Language::TypeScript], migration_downgrade),
    Check::tree("migration-description", &[Language::Python], migration_description),
];

fn migration_downgrade(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let names = if code.language == Language::Python { ("upgrade", "downgrade") } else { ("up", "down") };
    let find = |name: &str| functions(code).find(|function| function.name == name && !function.nested());
    let exported = |name: &str| code.syntax.text().contains(&format!("exports.{name} ="));
    let Some(forward) = find(names.0).map(|function| function.node).or_else(|| exported(names.0).then(|| code.syntax.root())) else {
        return Vec::new();
    };
    let hint = format!("write {}, or raise in it with the reason why there is no way back", names.1);
    match find(names.1) {
        None if exported(names.1) => Vec::new(),
        None => vec![Problem::at(forward, format!("{} has no {}", names.0, names.1), hint)],
        Some(back) if idle(back.body) && !find(names.0).is_some_and(|forward| idle(forward.body)) => {
            vec![Problem::at(back.node, format!("{} does nothing", names.1), hint)]
        }
        Some(_) => Vec::new(),
    }
}

/// True for a body in which nothing happens.
fn idle(body: Node<'_>) -> bool {
    let documented = docstring(body).map(Node::line);
    body.parts().filter(|part| Some(part.line()) != documented).all(|part| matches!(part.text(), "pass" | "..." | "return" | "return;"))
}

fn migration_description(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let migration = code.syntax.text().contains("down_revision");
    if !migration || docstring(code.syntax.root()).is_some() {
        return Vec::new();
    }
    vec![Problem::new(1, 1, "the migration does not say what it changes", "begin the file with a docstring of one sentence")]
}
