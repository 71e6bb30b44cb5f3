//! How much of the code the tests ran, from the report of coverage.py (`coverage json`).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;
use serde::Deserialize;

use super::{Check, Code, Text, file_name};
use crate::skills::language::CODE;
use crate::skills::skill::Parameters;
use crate::skills::verdict::Problem;

pub(super) const CHECKS: &[Check] = &[
    Check::text("coverage-threshold", coverage_threshold).with(&[
        ("percent_min", 80),
        ("file_percent_min", 50),
        ("file_statements_min", 10),
    ]),
    Check::tree("coverage-exclusion", CODE, coverage_exclusion),
];

static EXCLUSION: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"^\W*(pragma: ?no (cover|branch)|(istanbul|c8|v8) ignore( \w+)*)\W*$";
    Regex::new(pattern).expect("the pattern is a constant that the tests of the checks compile")
});

/// What is read of a report; it says much more.
#[derive(Deserialize)]
struct Report {
    totals: Summary,
    files: BTreeMap<String, File>,
}

#[derive(Deserialize)]
struct File {
    summary: Summary,
}

#[derive(Deserialize)]
struct Summary {
    percent_covered: f64,
    num_statements: usize,
}

fn coverage_threshold(text: &Text<'_>, parameters: &Parameters) -> Vec<Problem> {
    if !matches!(file_name(text.path), "coverage.json" | ".coverage.json") {
        return Vec::new();
    }
    let report: Report = match serde_json::from_str(text.text) {
        Ok(report) => report,
        Err(error) => {
            let message = format!("no report of coverage.py: {error}");
            return vec![Problem::new(error.line().max(1), error.column().max(1), message, "write it with `coverage json`")];
        }
    };
    let percent = |name: &str| f64::from(u32::try_from(parameters.get(name)).unwrap_or(u32::MAX));
    let (least, file_least) = (percent("percent_min"), percent("file_percent_min"));
    let hint = "test the branches that matter first: errors, limits, rules";
    let below = |what: &str, found: f64, least: f64| Problem::new(1, 1, format!("{what}: {found:.1} % of {least} % is covered"), hint);
    let mut problems = Vec::new();
    if report.totals.percent_covered < least {
        problems.push(below("all files", report.totals.percent_covered, least));
    }
    let small = parameters.get("file_statements_min");
    let files = report.files.iter().filter(|(_, file)| file.summary.num_statements >= small && file.summary.percent_covered < file_least);
    problems.extend(files.map(|(path, file)| below(path, file.summary.percent_covered, file_least)));
    problems
}

fn coverage_exclusion(code: &Code<'_>, _: &Parameters) -> Vec<Problem> {
    let bare = code.syntax.nodes().filter(|node| node.comment() && EXCLUSION.is_match(node.text()));
    let hint = "say in the same comment why no test can reach it";
    bare.map(|node| Problem::at(node, "code is left out of the count without a reason", hint)).collect()
}
