//! The graph of a plan in the languages of drawing tools.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::model::{Plan, Role, Task};

/// A Mermaid flowchart, waves from left to right; gates are round, waiting units dashed, the critical path thick.
pub fn mermaid(plan: &Plan) -> String {
    let names = names(plan);
    let mut text = String::from("flowchart LR\n");
    for task in nodes(plan) {
        let label = escaped(&task.title, "#quot;");
        let node = if task.role == Role::Gate { format!("(({label}))") } else { format!("[\"{label}\"]") };
        line(&mut text, &format!("  {}{node}", names[task.key.as_str()]));
    }
    for edge in &plan.dependencies {
        let critical = both_critical(plan, &edge.depends_on, &edge.task);
        let arrow = if critical { "==>" } else { "-->" };
        line(&mut text, &format!("  {} {arrow} {}", names[edge.depends_on.as_str()], names[edge.task.as_str()]));
    }
    let waiting: Vec<&str> = nodes(plan).filter(|task| task.waiting.is_some()).map(|task| names[task.key.as_str()].as_str()).collect();
    if !waiting.is_empty() {
        line(&mut text, "  classDef waiting stroke-dasharray: 5 5");
        line(&mut text, &format!("  class {} waiting", waiting.join(",")));
    }
    text
}

/// A digraph in Graphviz' language, with the same marks.
pub fn dot(plan: &Plan) -> String {
    let names = names(plan);
    let mut text = String::from("digraph plan {\n  rankdir=LR\n  node [shape=box]\n");
    for task in nodes(plan) {
        let shape = if task.role == Role::Gate { ", shape=circle" } else { "" };
        let style = if task.waiting.is_some() { ", style=dashed" } else { "" };
        line(&mut text, &format!("  {} [label=\"{}\"{shape}{style}]", names[task.key.as_str()], escaped(&task.title, "\\\"")));
    }
    for edge in &plan.dependencies {
        let style = if both_critical(plan, &edge.depends_on, &edge.task) { " [penwidth=2]" } else { "" };
        line(&mut text, &format!("  {} -> {}{style}", names[edge.depends_on.as_str()], names[edge.task.as_str()]));
    }
    text.push_str("}\n");
    text
}

fn nodes(plan: &Plan) -> impl Iterator<Item = &Task> {
    plan.tasks.iter().filter(|task| matches!(task.role, Role::Unit | Role::Gate))
}

/// Short names that every drawing tool takes, by key.
fn names(plan: &Plan) -> BTreeMap<&str, String> {
    nodes(plan).enumerate().map(|(at, task)| (task.key.as_str(), format!("n{}", at + 1))).collect()
}

fn both_critical(plan: &Plan, one: &str, other: &str) -> bool {
    [one, other].iter().all(|key| plan.task(key).is_some_and(|task| task.critical))
}

fn escaped(title: &str, quote: &str) -> String {
    title.replace('\\', "/").replace('"', quote)
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a string takes everything");
}
