//! Hierarchy, dependencies, gates, conflicts, traces, waves; tasks that a document states; refusals.

use super::*;
use crate::model::plan::Waiting;
use crate::model::spec::{StatedTask, StatementOrigin};
use crate::model::{Position, SpecFormat, Subject};
use crate::pipeline::analyze::analyze;
use crate::pipeline::analyze::sample::{bookshop, empty as empty_document, field, reference, statement};

fn blueprint(key: &str, group: &str, phase: u8, depends_on: &[&str]) -> Blueprint {
    Blueprint {
        key: key.to_owned(),
        group: group.to_owned(),
        phase,
        task_type: TaskType::Model,
        title: format!("Make {key}"),
        description: String::new(),
        priority: 3,
        effort_points: 2,
        files: vec![format!("src/{key}.py")],
        depends_on: depends_on.iter().map(|on| ((*on).to_owned(), format!("needs {on}"))).collect(),
        skills: vec!["global-conventions".to_owned()],
        criteria: Vec::new(),
        expected_output: "a file".to_owned(),
        subjects: Vec::new(),
        steps: Vec::new(),
        position: None,
        waiting: None,
    }
}

fn shop() -> Vec<Blueprint> {
    let mut all = vec![blueprint("project/database", "Foundation", 2, &[])];
    all.push(blueprint("model/author", "Data model", 3, &["project/database"]));
    all.push(blueprint("model/book", "Data model", 3, &["project/database", "model/author"]));
    all.push(blueprint("model/review", "Data model", 3, &["project/database", "model/book"]));
    let models = ["model/author", "model/book", "model/review"];
    all.push(Blueprint { effort_points: 5, ..blueprint("migration", "Migrations", 3, &models) });
    all.push(blueprint("router/books", "Books API", 3, &["model/book"]));
    all.push(Blueprint { priority: 1, ..blueprint("tests/support", "Tests", 4, &models) });
    all[1].subjects = vec![Subject::Entity("Author".to_owned())];
    all[2].subjects = vec![Subject::Entity("Book".to_owned()), Subject::Field("Book.isbn".to_owned())];
    let step = |key: &str| Step {
        key: format!("api/{key}"),
        task_type: TaskType::Api,
        title: key.to_owned(),
        subjects: vec![Subject::Operation(key.to_owned())],
        position: Some(Position::line(42)),
    };
    all[5].steps = vec![step("GET /books"), step("POST /books")];
    all
}

fn plan_of(document: &SpecDocument, blueprints: &[Blueprint]) -> Result<Plan, PlanError> {
    build(document, &analyze(document), blueprints, None)
}

fn edges(plan: &Plan) -> Vec<String> {
    plan.dependencies.iter().map(|edge| format!("{} <- {}: {}", edge.task, edge.depends_on, edge.reason)).collect()
}

#[test]
fn a_plan_is_a_hierarchy_with_gates_where_they_save_edges() {
    let plan = plan_of(&bookshop(), &shop()).unwrap();
    let show = |task: &Task| {
        let depth = std::iter::successors(task.parent.as_deref(), |parent| plan.task(parent)?.parent.as_deref()).count();
        format!("{}{} {:?} {:?} {}", "  ".repeat(depth), task.key, task.kind, task.role, task.effort.amount)
    };
    let tree: Vec<String> = plan.tasks.iter().map(show).collect();
    insta::assert_snapshot!(tree.join("\n"), @r"
    phase/2 Phase Container 2
      phase/2/foundation TaskGroup Container 2
        project/database Task Unit 2
    phase/3 Phase Container 13
      phase/3/data-model TaskGroup Container 6
        model/author Task Unit 2
        model/book Task Unit 2
        model/review Task Unit 2
        phase/3/data-model/all Task Gate 0
      phase/3/migrations TaskGroup Container 5
        migration Task Unit 5
      phase/3/books-api TaskGroup Container 2
        router/books Task Unit 2
          api/GET /books Subtask Step 0
          api/POST /books Subtask Step 0
    phase/4 Phase Container 2
      phase/4/tests TaskGroup Container 2
        tests/support Task Unit 2
    ");
    insta::assert_snapshot!(edges(&plan).join("\n"), @r"
    migration <- phase/3/data-model/all: it needs all of Data model
    model/author <- project/database: needs project/database
    model/book <- model/author: needs model/author
    model/book <- project/database: needs project/database
    model/review <- model/book: needs model/book
    model/review <- project/database: needs project/database
    phase/3/data-model/all <- model/author: part of Data model
    phase/3/data-model/all <- model/book: part of Data model
    phase/3/data-model/all <- model/review: part of Data model
    router/books <- model/book: needs model/book
    tests/support <- phase/3/data-model/all: it needs all of Data model
    ");
}

#[test]
fn waves_critical_path_slack_and_priority_follow_from_the_edges() {
    let plan = plan_of(&bookshop(), &shop()).unwrap();
    assert_eq!(
        plan.waves,
        [
            vec!["project/database"],
            vec!["model/author"],
            vec!["model/book"],
            vec!["model/review", "router/books"],
            vec!["migration", "tests/support"]
        ]
    );
    assert_eq!(plan.critical_path, ["project/database", "model/author", "model/book", "model/review", "migration"]);
    let of = |key: &str| plan.task(key).map(|task| (task.wave, task.critical, task.slack, task.priority)).unwrap();
    assert_eq!(of("migration"), (Some(5), true, 0, 3));
    assert_eq!(of("tests/support"), (Some(5), false, 3, 1));
    assert_eq!(of("router/books"), (Some(4), false, 5, 3));
    assert_eq!(of("model/author"), (Some(2), true, 0, 1));
    assert_eq!(of("phase/3/data-model/all"), (Some(5), true, 0, 1));
    assert_eq!(of("phase/3"), (None, false, 0, 3));
}

#[test]
fn requirements_are_traced_to_the_units_that_serve_them() {
    let document = bookshop();
    let plan = plan_of(&document, &shop()).unwrap();
    let texts = |key: &str| -> Vec<&str> {
        let task = plan.task(key).unwrap();
        let of = |key: &String| plan.requirements.iter().find(|requirement| &requirement.key == key).map(|found| found.text.as_str());
        task.requirements.iter().filter_map(of).map(|text| text.split([':', ' ']).next().unwrap()).collect()
    };
    assert_eq!(texts("model/author"), ["Author", "Author.name"]);
    let book = ["Book", "Book.title", "Book.isbn", "Book.status", "Book.author", "An"];
    assert_eq!(texts("model/book"), book, "the criterion about Book.author is served with it");
    assert_eq!(texts("router/books"), ["GET", "POST"]);
    assert_eq!(texts("api/GET /books"), ["GET"]);
    let orphans = plan.findings.iter().filter(|finding| finding.code == "requirement-without-unit");
    assert!(orphans.clone().any(|finding| finding.message.contains("DELETE /books/{id}") && finding.position == Some(Position::line(45))));
    assert!(orphans.clone().all(|finding| !finding.message.contains("GET /books:")));
}

#[test]
fn units_that_write_one_file_wait_for_each_other() {
    let mut all = shop();
    all[5].files = vec!["src/shared/".to_owned()];
    all[3].files = vec!["src/shared/review.py".to_owned()];
    let plan = plan_of(&bookshop(), &all).unwrap();
    let edge = plan.dependencies.iter().find(|edge| edge.reason.starts_with("both write")).unwrap();
    assert_eq!((edge.task.as_str(), edge.depends_on.as_str()), ("router/books", "model/review"));
    assert_eq!(plan.findings.iter().filter(|finding| finding.code == "file-conflict").count(), 1);
    let graph = schedule::graph(&plan).unwrap();
    let files: Vec<Vec<String>> = schedule::executed(&plan).map(|task| task.files.clone()).collect();
    assert!(graph.conflicts(&files).is_empty());
}

#[test]
fn the_same_specification_gives_the_same_bytes() {
    let bytes = || serde_json::to_vec(&plan_of(&bookshop(), &shop()).unwrap()).unwrap();
    assert_eq!(bytes(), bytes());
    let plan: Plan = serde_json::from_slice(&bytes()).unwrap();
    assert_eq!(plan, plan_of(&bookshop(), &shop()).unwrap());
}

#[test]
fn what_cannot_be_planned_is_refused_by_name() {
    let check = |change: &dyn Fn(&mut Vec<Blueprint>), expect: &str| {
        let mut all = shop();
        change(&mut all);
        let error = plan_of(&bookshop(), &all).unwrap_err();
        assert_eq!(error.to_string(), expect);
        assert!(error.hint().is_some());
    };
    let lead = "the plan's dependencies do not hold together:";
    check(
        &|all| all[0].depends_on.push(("model/shop".to_owned(), "x".to_owned())),
        &format!("{lead} project/database depends on model/shop, but there is no model/shop"),
    );
    check(
        &|all| all[1].depends_on.push(("model/review".to_owned(), "x".to_owned())),
        &format!("{lead} dependencies form a cycle: model/author -> model/review -> model/book -> model/author"),
    );
    check(&|all| all[1].depends_on.push(("model/author".to_owned(), "x".to_owned())), &format!("{lead} model/author depends on itself"));
    check(&|all| all.push(shop()[0].clone()), &format!("{lead} two nodes are called project/database"));
    check(&|all| all[5].steps[0].key = "phase/3".to_owned(), "two nodes of the plan are called phase/3");
    let mut document = bookshop();
    document.entities[1]
        .fields
        .push(crate::model::entity::Field { required: true, ..field("shop", reference("Shop", crate::model::OnDelete::SetNull)) });
    assert_eq!(plan_of(&document, &shop()).unwrap_err().to_string(), "the specification contradicts itself in 2 places");
    assert!(matches!(plan_of(&empty_document(SpecFormat::Prose), &[]), Err(PlanError::Nothing)));
    assert!(matches!(plan_document(&bookshop(), Vec::new(), Some("cobol")), Err(PlanError::Target(_))));
}

fn stated(number: u32, title: &str, depends_on: &[u32]) -> StatedTask {
    StatedTask {
        key: format!("logical-dependency-chain/{number}"),
        title: title.to_owned(),
        details: String::new(),
        section: "Logical Dependency Chain".to_owned(),
        depends_on: depends_on.iter().map(|on| format!("logical-dependency-chain/{on}")).collect(),
        because: (!depends_on.is_empty()).then(|| "depends on 3 & 4".to_owned()),
        position: Position::line(number),
    }
}

#[test]
fn tasks_that_a_document_lists_wait_with_exactly_the_edges_it_states() {
    let mut document = empty_document(SpecFormat::Prose);
    document.stated_tasks =
        vec![stated(3, "Storage", &[]), stated(4, "Short codes", &[]), stated(5, "Endpoint", &[3, 4]), stated(6, "Test it", &[5])];
    document.statements = vec![statement(20, StatementOrigin::Prose, "The user must see the short URL.")];
    let plan = plan_of(&document, &[]).unwrap();
    assert_eq!(
        edges(&plan),
        [
            "logical-dependency-chain/5 <- logical-dependency-chain/3: stated: depends on 3 & 4",
            "logical-dependency-chain/5 <- logical-dependency-chain/4: stated: depends on 3 & 4",
            "logical-dependency-chain/6 <- logical-dependency-chain/5: stated: depends on 3 & 4",
        ]
    );
    assert_eq!(plan.units().count(), 4, "statements are no units when the document lists tasks");
    for unit in plan.units() {
        assert!(matches!(&unit.waiting, Some(Waiting { reason, configure }) if !reason.is_empty() && !configure.is_empty()));
        assert_eq!((unit.task_type, unit.requirements.len()), (TaskType::Generic, 1));
    }
    assert_eq!(plan.task("logical-dependency-chain/6").unwrap().phase, 4);
}

#[test]
fn prose_without_tasks_becomes_one_unit_for_each_section_that_demands_something() {
    let mut document = empty_document(SpecFormat::Prose);
    let said = |line, section: &str, text: &str| crate::model::spec::Statement {
        section: section.to_owned(),
        ..statement(line, StatementOrigin::Prose, text)
    };
    document.statements = vec![
        said(1, "History", "Shops were founded in 1923."),
        said(2, "Search", "The user must find books."),
        said(3, "Search", "The user should sort them."),
        said(4, "Cart", "The user can fill a cart."),
        said(5, "Cart", "The cart must survive a restart."),
    ];
    let plan = plan_of(&document, &[]).unwrap();
    let units: Vec<_> = plan.units().map(|unit| (unit.key.as_str(), unit.criteria.len(), unit.requirements.len())).collect();
    assert_eq!(units, [("section/search", 2, 2), ("section/cart", 2, 2)]);
    assert!(plan.dependencies.is_empty());
    document.statements.truncate(1);
    assert_eq!(plan_of(&document, &[]).unwrap().units().count(), 1);
}
