//! Every check on at least one example of what it finds and one of what it leaves alone.

use std::collections::BTreeSet;

use super::*;
use crate::skills::skill::parameters_of;
use crate::skills::syntax::parse;

/// What a check finds in one text, and another in which it finds nothing.
pub(super) struct Example {
    pub(super) check: &'static str,
    pub(super) path: &'static str,
    pub(super) wrong: String,
    /// The lines that it tells, in order.
    pub(super) lines: &'static [usize],
    pub(super) right: String,
}

pub(super) fn example(
    check: &'static str,
    path: &'static str,
    wrong: impl Into<String>,
    lines: &'static [usize],
    right: impl Into<String>,
) -> Example {
    Example { check, path, wrong: wrong.into(), lines, right: right.into() }
}

fn examples() -> Vec<Example> {
    let all = [
        examples_backend_tests::examples(),
        examples_frontend_tests::examples(),
        examples_global_tests::examples(),
        examples_testing_tests::examples(),
    ];
    all.into_iter().flatten().collect()
}

/// The lines that a check with its own numbers tells.
fn told(name: &str, path: &str, text: &str) -> Vec<usize> {
    let check = find(name).unwrap_or_else(|| panic!("there is no check {name}"));
    let language = Language::of(path);
    assert!(check.reads(language), "{name} does not read {path}");
    let parameters = parameters_of(check);
    let mut problems = match check.run {
        Run::Text(run) => run(&Text { path, text }, &parameters),
        Run::Tree(run) | Run::Whole(run) => {
            let tree = parse(language, text).unwrap();
            let syntax = Syntax::of(&tree, text).unwrap();
            let broken = syntax.first_error().map(Node::line);
            assert!(broken.is_none() || name == "syntax", "{name}: line {broken:?} of the example is no {}:\n{text}", language.as_str());
            run(&Code { path, language, syntax: &syntax }, &parameters)
        }
    };
    problems.sort();
    assert!(problems.iter().all(|problem| !problem.message.is_empty() && !problem.hint.is_empty() && problem.column > 0), "{problems:?}");
    problems.into_iter().map(|problem| problem.line).collect()
}

#[test]
fn each_check_finds_what_is_wrong_and_leaves_alone_what_is_right() {
    let mut differing = Vec::new();
    for Example { check, path, wrong, lines, right } in examples() {
        let found = told(check, path, &wrong);
        if found != lines {
            differing.push(format!("{check} tells lines {found:?}, not {lines:?}, of\n{wrong}"));
        }
        let found = told(check, path, &right);
        if !found.is_empty() {
            differing.push(format!("{check} tells lines {found:?} of what is right:\n{right}"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n\n"));
}

#[test]
fn no_check_is_without_an_example() {
    let shown: BTreeSet<&str> = examples().iter().filter(|example| !example.lines.is_empty()).map(|example| example.check).collect();
    // What a file is called is not in its text; the test below is its example.
    let shown: BTreeSet<&str> = shown.into_iter().chain(["file-naming"]).collect();
    let missing: Vec<&str> = all().map(|check| check.name).filter(|name| !shown.contains(name)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn names_of_files_are_checked_whatever_they_hold() {
    for (path, lines) in
        [("src/MyModule.py", vec![1]), ("src/my-module.rs", vec![1]), ("src/my_module.py", vec![]), ("src/__init__.py", vec![])]
    {
        assert_eq!(told("file-naming", path, ""), lines, "{path}");
    }
}

#[test]
fn no_two_checks_share_a_name() {
    let names: BTreeSet<&str> = all().map(|check| check.name).collect();
    assert_eq!(names.len(), all().count());
}

#[test]
fn no_text_makes_a_check_fail() {
    // Broken, empty and odd texts in every language: what must not happen is a panic.
    let texts =
        ["", "\n", "(", "\"", "def", "class :", "<a", "a{", "fn f(", "\u{feff}x", "é = 'ü'\n", "@", "import", "f(", "`${", "/* ", "#"];
    for check in all() {
        for path in ["tests/test_a.py", "a.ts", "a.tsx", "a.js", "a.rs", "a.css", "a.html", "coverage.json", "package.json"] {
            let language = Language::of(path);
            for text in texts.iter().filter(|_| check.reads(language)) {
                let parameters = parameters_of(check);
                if let Run::Text(run) = check.run {
                    run(&Text { path, text }, &parameters);
                } else if let (Ok(tree), Run::Tree(run) | Run::Whole(run)) = (parse(language, text), check.run) {
                    run(&Code { path, language, syntax: &Syntax::of(&tree, text).unwrap() }, &parameters);
                }
            }
        }
    }
}
