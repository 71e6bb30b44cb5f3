//! What everybody on a project does alike: names, imports, output.

use std::sync::LazyLock;

use regex::Regex;

use super::functions::in_rust_tests;
use super::{Check, Code, callee};
use crate::skills::Language;
use crate::skills::language::CODE;
use crate::skills::skill::Parameters;
use crate::skills::syntax::Node;
use crate::skills::verdict::Problem;

pub(super) const CHECKS: &[Check] = &[
    Check::tree("debug-output", CODE, debug_output),
    Check::tree("wildcard-import", &[Language::Python, Language::Rust], wildcard_import),
    Check::tree("mutable-default", &[Language::Python], mutable_default),
    Check::tree("file-naming", &[Language::Python, Language::Rust], file_naming),
    Check::tree("class-naming", &[Language::Python, Language::JavaScript, Language::TypeScript, Language::Tsx], class_naming),
];

static FILE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[a-z0-9_.]+$").expect("the pattern is a constant that the tests of the checks compile"));
static CLASS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^_{0,2}[A-Z][A-Za-z0-9]*$").expect("the pattern is a constant that the tests of the checks compile"));

fn debug_output(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let hint = "delete it, or use the project's logger";
    let told = |node: Node<'_>, name: &str| Problem::at(node, format!("{name} was left in"), hint);
    match code.language {
        Language::Python => {
            let calls = code.of_kinds(&["call"]).filter(|call| !guarded_by_main(*call));
            let left = calls.filter(|call| matches!(callee(*call), ("print" | "breakpoint", "") | ("set_trace", "pdb" | "ipdb")));
            left.map(|call| told(call, call.field_text("function"))).collect()
        }
        Language::Rust => {
            let left = code.of_kinds(&["macro_invocation"]).filter(|call| {
                let name = call.field_text("macro");
                name == "dbg" || ["println", "eprintln", "print", "eprint"].contains(&name) && !in_rust_tests(*call)
            });
            left.map(|call| told(call, call.field_text("macro"))).collect()
        }
        _ => {
            let calls =
                code.of_kinds(&["call_expression"]).filter(|call| matches!(callee(*call), ("log" | "debug" | "trace" | "dir", "console")));
            let calls = calls.map(|call| told(call, call.field_text("function")));
            calls.chain(code.of_kinds(&["debugger_statement"]).map(|node| told(node, "debugger"))).collect()
        }
    }
}

/// True below `if __name__ == "__main__"`: a program that is called by hand speaks to who called it.
fn guarded_by_main(node: Node<'_>) -> bool {
    node.ancestors().any(|above| above.kind() == "if_statement" && above.field_text("condition").contains("__name__"))
}

fn wildcard_import(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let hint = "name what is used";
    if code.language == Language::Rust {
        let all = code.of_kinds(&["use_wildcard"]).filter(|node| !in_rust_tests(*node));
        let wrong = all.filter(|node| {
            let path = node.text().trim_end_matches("::*");
            let last = path.rsplit("::").next().unwrap_or(path);
            // A prelude is made for it, `super` shares one module between files, and a type stands for its variants.
            last != "prelude" && last != "super" && !last.starts_with(char::is_uppercase)
        });
        return wrong.map(|node| Problem::at(node, format!("{} takes whatever is there", node.text()), hint)).collect();
    }
    let all = code.of_kinds(&["wildcard_import"]).filter(|_| code.file_name() != "__init__.py");
    all.map(|node| Problem::at(node, "`import *` takes whatever is there", hint)).collect()
}

fn mutable_default(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let shared = |value: Node<'_>| match value.kind() {
        "list" | "dictionary" | "set" | "list_comprehension" | "dictionary_comprehension" | "set_comprehension" => true,
        "call" => matches!(callee(value), ("list" | "dict" | "set" | "defaultdict" | "deque", _)),
        _ => false,
    };
    let defaults = code.of_kinds(&["default_parameter", "typed_default_parameter"]).filter_map(|parameter| parameter.field("value"));
    let message = "this default is made once and shared by all calls";
    defaults.filter(|value| shared(*value)).map(|value| Problem::at(value, message, "default to None and make it inside")).collect()
}

fn file_naming(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let name = code.file_name();
    if FILE.is_match(name) {
        return Vec::new();
    }
    vec![Problem::new(1, 1, format!("{name} is not snake_case"), "name modules in lower case with `_` between words")]
}

fn class_naming(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let names = code.of_kinds(&["class_definition", "class_declaration"]).filter_map(|class| class.field("name"));
    let wrong = names.filter(|name| !CLASS.is_match(name.text()));
    wrong
        .map(|name| Problem::at(name, format!("class {} is not CapWords", name.text()), "begin each word with a capital, without `_`"))
        .collect()
}
