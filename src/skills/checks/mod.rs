//! The machine checks, one file for each family. A check is a pure function from a file to what is wrong with it.
//!
//! Called by `validate` alone. A check that is not sure says nothing: a false alarm costs a round of repair.

mod accessibility;
mod assertions;
mod comments;
mod components;
mod conventions;
mod coverage;
mod dependencies;
mod documentation;
mod elements;
mod endpoints;
mod errors;
mod functions;
mod inputs;
mod markup;
mod migrations;
mod queries;
mod secrets;
mod structure;
mod styles;
mod tables;
mod test_hygiene;
mod typing;

#[cfg(test)]
mod examples_backend_tests;
#[cfg(test)]
mod examples_frontend_tests;
#[cfg(test)]
mod examples_global_tests;
#[cfg(test)]
mod examples_testing_tests;
#[cfg(test)]
mod tests;

use super::language::Language;
use super::skill::Parameters;
use super::syntax::{Node, Syntax};
use super::verdict::Problem;

/// A check by its name.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) name: &'static str,
    /// The languages that it reads; none for any text.
    languages: &'static [Language],
    /// Its numbers, with what counts where a skill states none.
    pub(super) parameters: &'static [(&'static str, usize)],
    pub(super) run: Run,
}

/// What a check looks at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Run {
    /// The text.
    Text(fn(&Text<'_>, &Parameters) -> Vec<Problem>),
    /// The tree, which may have errors.
    Whole(fn(&Code<'_>, &Parameters) -> Vec<Problem>),
    /// The tree of a text without errors.
    Tree(fn(&Code<'_>, &Parameters) -> Vec<Problem>),
}

/// A file as text.
pub(super) struct Text<'a> {
    pub(super) path: &'a str,
    pub(super) text: &'a str,
}

/// A file as a tree.
pub(super) struct Code<'a> {
    pub(super) path: &'a str,
    pub(super) language: Language,
    pub(super) syntax: &'a Syntax<'a>,
}

const FAMILIES: &[&[Check]] = &[
    structure::CHECKS,
    typing::CHECKS,
    documentation::CHECKS,
    comments::CHECKS,
    conventions::CHECKS,
    errors::CHECKS,
    inputs::CHECKS,
    secrets::CHECKS,
    dependencies::CHECKS,
    endpoints::CHECKS,
    queries::CHECKS,
    tables::CHECKS,
    migrations::CHECKS,
    components::CHECKS,
    accessibility::CHECKS,
    styles::CHECKS,
    markup::CHECKS,
    assertions::CHECKS,
    test_hygiene::CHECKS,
    coverage::CHECKS,
];

/// Every check.
pub(super) fn all() -> impl Iterator<Item = &'static Check> {
    FAMILIES.iter().copied().flatten()
}

/// The check of that name.
pub(super) fn find(name: &str) -> Option<&'static Check> {
    all().find(|check| check.name == name)
}

impl Check {
    const fn tree(name: &'static str, languages: &'static [Language], run: fn(&Code<'_>, &Parameters) -> Vec<Problem>) -> Self {
        Self { name, languages, parameters: &[], run: Run::Tree(run) }
    }

    const fn text(name: &'static str, run: fn(&Text<'_>, &Parameters) -> Vec<Problem>) -> Self {
        Self { name, languages: &[], parameters: &[], run: Run::Text(run) }
    }

    const fn with(self, parameters: &'static [(&'static str, usize)]) -> Self {
        let Self { name, languages, run, .. } = self;
        Self { name, languages, parameters, run }
    }

    /// True when it has something to say about that language.
    pub(super) fn reads(&self, language: Language) -> bool {
        self.languages.is_empty() || self.languages.contains(&language)
    }
}

impl<'a> Code<'a> {
    /// Every node of one of these kinds.
    fn of_kinds(&self, kinds: &'a [&str]) -> impl Iterator<Item = Node<'a>> {
        self.syntax.of_kinds(kinds)
    }

    /// The last name of the path.
    fn file_name(&self) -> &'a str {
        file_name(self.path)
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What a call calls: the last name, and the text before it (empty for a plain name). `self.session.get(…)` is `get` of `self.session`.
fn callee(call: Node<'_>) -> (&str, &str) {
    let function = call.field("function").or_else(|| call.field("constructor"));
    let text = function.map(Node::text).unwrap_or_default();
    let text = text.split("::<").next().unwrap_or(text);
    text.rfind(['.', ':']).map_or((text, ""), |at| (&text[at + 1..], text[..at].trim_end_matches([':', '?', '.'])))
}

/// The value of a keyword argument of a Python call.
fn keyword<'s>(call: Node<'s>, name: &str) -> Option<Node<'s>> {
    let arguments = call.field("arguments")?;
    let named = |argument: &Node<'s>| argument.kind() == "keyword_argument" && argument.field_text("name") == name;
    arguments.parts().find(named)?.field("value")
}

/// The arguments without names, in order.
fn positional(call: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    let arguments = call.field("arguments");
    arguments.into_iter().flat_map(Node::parts).filter(|argument| argument.kind() != "keyword_argument")
}

/// What stands between the quotes of a string without prefix, f-strings and templates included.
fn unquoted(text: &str) -> &str {
    let text = text.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let inner = ["\"\"\"", "'''", "\"", "'", "`"].iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote));
    inner.unwrap_or(text)
}
