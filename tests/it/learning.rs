//! What a run of the bookstore teaches: which units become patterns, with which code, and which become warnings.

use std::collections::BTreeSet;

use specwave::generate::TargetPack;
use specwave::learning::{Harvest, UnitResult};
use specwave::model::id::LOCAL_ORGANIZATION;
use specwave::model::{CheckResult, Pattern, PatternKind, Plan, RunId, SpecDocument, Subject, Verdict};
use specwave::pipeline::{analyze, plan};

const ROUTER: &str = "router = APIRouter()\n\n\n@router.get(\"/authors\")\ndef list_authors(session: Db) -> Page:\n    return []\n\n\n@router.post(\"/authors\")\ndef create_author(session: Db) -> Author:\n    return Author()\n";

fn bookstore() -> (SpecDocument, Plan) {
    let doc = specwave::ingest::read(include_bytes!("../../examples/bookstore.md"), Some("bookstore.md"), None).document.unwrap();
    let pack = TargetPack::load("fastapi").unwrap();
    let plan = plan::build(&doc, &analyze::analyze(&doc), &pack.blueprints(&doc).unwrap(), None).unwrap();
    (doc, plan)
}

fn check(name: &str, subject: Option<Subject>, verdict: Verdict) -> CheckResult {
    let detail = "the server said password=hunter2".to_owned();
    CheckResult { name: name.to_owned(), subject, verdict, command: String::new(), detail, duration_ms: 1 }
}

/// The patterns of a run that ended with these units.
fn learned(units: &[UnitResult], succeeded: bool) -> Vec<Pattern> {
    let (doc, plan) = bookstore();
    let (language, framework) = ("python", "FastAPI");
    Harvest { tenant: LOCAL_ORGANIZATION, run: RunId::new(), doc: &doc, plan: &plan, language, framework, units, succeeded }.patterns()
}

fn authors(checks: Vec<CheckResult>) -> UnitResult {
    UnitResult { key: "router/authors".to_owned(), files: vec![("src/routers/authors.py".to_owned(), ROUTER.to_owned())], checks }
}

fn titles(patterns: &[Pattern]) -> Vec<(PatternKind, bool, &str)> {
    patterns.iter().map(|pattern| (pattern.kind, pattern.success, pattern.title.as_str())).collect()
}

fn operation(key: &str) -> Subject {
    Subject::Operation(key.to_owned())
}

#[test]
fn a_router_becomes_a_pattern_for_each_operation_with_its_own_code_and_evidence() {
    let checks = vec![
        check("lint", None, Verdict::Passed),
        check("probe/list", Some(operation("GET /authors")), Verdict::Passed),
        check("probe/create", Some(operation("POST /authors")), Verdict::Passed),
        check("tests", Some(Subject::Project("tests".to_owned())), Verdict::Passed),
    ];
    let patterns = learned(&[authors(checks)], false);
    let list = patterns.iter().find(|pattern| pattern.kind == PatternKind::Code && pattern.title.starts_with("GET /authors:")).unwrap();
    assert_eq!(list.code, "@router.get(\"/authors\")\ndef list_authors(session: Db) -> Page:\n    return []\n");
    assert_eq!(list.evidence, ["lint", "probe/list", "tests"]);
    assert!(
        list.text.starts_with("Paginated list endpoint with text search and sorting: GET /authors. Lists author rows."),
        "{}",
        list.text
    );
    assert_eq!((list.unit_type.as_str(), list.spec_type.as_str(), list.success), ("api", "markdown", true));
    assert_eq!(patterns.iter().filter(|pattern| pattern.kind == PatternKind::Task).count(), 1);
}

#[test]
fn what_failed_is_a_warning_and_not_a_pattern() {
    let patterns = learned(&[authors(vec![check("lint", None, Verdict::Failed)])], false);
    assert_eq!(titles(&patterns), [(PatternKind::Code, false, "Serve Authors failed lint")]);
    assert!(patterns[0].code.contains("[redacted]") && !patterns[0].text.contains("hunter2"), "{}", patterns[0].text);
}

#[test]
fn one_broken_operation_does_not_take_the_others_along() {
    let checks = vec![check("lint", None, Verdict::Passed), check("probe/create", Some(operation("POST /authors")), Verdict::Failed)];
    let patterns = learned(&[authors(checks)], false);
    let create: Vec<_> = patterns.iter().filter(|pattern| pattern.title.starts_with("POST /authors")).collect();
    assert_eq!(create.iter().map(|pattern| pattern.success).collect::<Vec<_>>(), [false]);
    assert!(patterns.iter().any(|pattern| pattern.success && pattern.title.starts_with("GET /authors:")));
}

#[test]
fn nothing_is_called_good_while_a_check_of_the_project_fails_or_none_was_made() {
    let broken = check("tests", Some(Subject::Project("tests".to_owned())), Verdict::Failed);
    assert_eq!(titles(&learned(&[authors(vec![check("lint", None, Verdict::Passed), broken])], false)), []);
    assert_eq!(titles(&learned(&[authors(vec![])], false)), []);
    assert_eq!(titles(&learned(&[authors(vec![check("probe", None, Verdict::Skipped)])], false)), []);
}

#[test]
fn a_finished_run_leaves_its_plan() {
    let patterns = learned(&[authors(vec![check("lint", None, Verdict::Passed)])], true);
    let plan = patterns.iter().find(|pattern| pattern.kind == PatternKind::Sequence).unwrap();
    assert_eq!(plan.title, "Plan of Bookstore");
    assert!(plan.code.contains("wave 1: "), "{}", plan.code);
}

#[test]
fn learning_the_same_run_twice_gives_the_same_ids_and_no_two_patterns_share_one() {
    let (_, plan) = bookstore();
    let unit = |key: &str| UnitResult { key: key.to_owned(), ..authors(vec![check("lint", None, Verdict::Passed)]) };
    let units: Vec<UnitResult> = plan.units().map(|task| unit(&task.key)).collect();
    let (first, second) = (learned(&units, true), learned(&units, true));
    let ids = |patterns: &[Pattern]| patterns.iter().map(|pattern| pattern.id).collect::<BTreeSet<_>>();
    assert_eq!(ids(&first), ids(&second));
    assert_eq!(ids(&first).len(), first.len());
}
