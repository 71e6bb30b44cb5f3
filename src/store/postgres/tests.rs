//! The guard around every table, and what each table family gives back.

use serde_json::{Value, json};
use sha2::Digest;
use sqlx::Row;

use super::*;
use crate::model::id::LOCAL_ORGANIZATION;
use crate::model::{
    CheckResult, Finding, Pattern, PatternId, PatternKind, Position, RunEvent, RunId, RunState, Subject, UnitEvent, UnitState, Verdict,
};

#[tokio::test]
async fn every_tenant_table_is_guarded_and_the_roles_stand_below_the_guard() {
    let store = testing::store().await;
    let mut connection = store.owner().await.unwrap();
    let unguarded = "select relname::text from pg_class c where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') \
        and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'organization_id') \
        and not (relrowsecurity and relforcerowsecurity)";
    let unguarded: Vec<String> = sqlx::query_scalar(unguarded).fetch_all(&mut *connection).await.unwrap();
    assert_eq!(unguarded, Vec::<String>::new());
    let keys = "select conname::text from pg_constraint k join pg_class c on c.oid = k.conrelid \
        where connamespace = 'public'::regnamespace and contype in ('p', 'u', 'f') \
        and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'organization_id') \
        and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'organization_id' and a.attnum = conkey[1])";
    let keys: Vec<String> = sqlx::query_scalar(keys).fetch_all(&mut *connection).await.unwrap();
    assert_eq!(keys, Vec::<String>::new(), "a key that does not begin with the tenant");
    let row = sqlx::query("select count(*) filter (where rolsuper or rolbypassrls), count(*) from pg_roles where rolname = any($1)");
    let row = row.bind([&store.roles.app, &store.roles.system]).fetch_one(&mut *connection).await.unwrap();
    assert_eq!((row.get::<i64, _>(0), row.get::<i64, _>(1)), (0, 2));
}

#[tokio::test]
async fn no_role_may_truncate_or_create_and_the_owner_sees_nothing() {
    let store = testing::store().await;
    let denied = async |statement: &'static str| {
        let mut tenant = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
        let error = sqlx::query(statement).execute(&mut *tenant).await.unwrap_err();
        let code = error.as_database_error().and_then(|error| error.code().map(std::borrow::Cow::into_owned));
        assert_eq!(code.as_deref(), Some("42501"), "{statement}: {error}");
    };
    for statement in [
        "truncate runs",
        "create table own (id integer)",
        "delete from audit_log",
        "update audit_log set actor = 'x'",
        "select * from audit_log_default",
        "update task_attempts set outcome = 'failed'",
        "update organizations set name = 'x'",
    ] {
        denied(statement).await;
    }
    let mut owner = store.owner().await.unwrap();
    // Before version 16 the owner inherits what `system` may see (roles.rs says why).
    let version: i32 = sqlx::query_scalar("select current_setting('server_version_num')::integer").fetch_one(&mut *owner).await.unwrap();
    let count: i64 = sqlx::query_scalar("select count(*) from organizations").fetch_one(&mut *owner).await.unwrap();
    assert_eq!(count, i64::from(version < 160_000));
    let mut tenant = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
    let slug: String = sqlx::query_scalar("select slug from organizations").fetch_one(&mut *tenant).await.unwrap();
    assert_eq!(slug, "local");
}

/// By its statistics, an empty queue is read whole sooner than a row of it is looked up; and they say that it is empty long after it filled.
#[tokio::test]
async fn rows_of_a_queue_are_looked_up_however_small_it_is_thought_to_be() {
    let store = testing::store().await;
    let mut owner = store.owner().await.unwrap();
    sqlx::query("analyze ready_units").execute(&mut *owner).await.unwrap();
    let mut tx = store.tenant_by_key(LOCAL_ORGANIZATION).await.unwrap();
    let explain = "explain delete from ready_units where ctid = any (array(select ctid from ready_units where ordinal < 3))";
    let plan: Vec<String> = sqlx::query_scalar(explain).fetch_all(&mut *tx).await.unwrap();
    assert!(plan.iter().any(|line| line.contains("Tid Scan on ready_units")), "{}", plan.join("\n"));
    tx.commit().await.unwrap();
    let mut tx = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
    let left: String = sqlx::query_scalar("select current_setting('enable_seqscan')").fetch_one(&mut *tx).await.unwrap();
    assert_eq!(left, "on", "other work is planned as ever");
}

/// What a foreign key would refuse, refused by the statement.
#[tokio::test]
async fn edges_without_ends_and_units_without_a_run_are_refused() {
    let store = testing::store().await;
    let refused = async |statement: &'static str, constraint: &str| {
        let mut tenant = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
        let insert = sqlx::query(statement).bind(LOCAL_ORGANIZATION.0).bind(RunId::new().0);
        let error = insert.execute(&mut *tenant).await.unwrap_err().into_database_error().unwrap();
        assert_eq!((error.code().as_deref(), error.constraint()), (Some("23503"), Some(constraint)), "{error}");
    };
    let edge = "insert into task_dependencies (organization_id, plan_id, depends_on, task, reason) values ($1, $2, 0, 1, '')";
    refused(edge, "task_dependencies_ends_check").await;
    let unit = "insert into run_tasks (organization_id, run_id, ordinal, id, rank, pending, gate, key, state) values ($1, $2, 0, $2, 0, 0, true, 'a', 'pending')";
    refused(unit, "run_tasks_run_check").await;
}

#[tokio::test]
async fn nothing_of_a_tenant_stays_in_the_pool() {
    let store = testing::store().await;
    let tenant = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
    tenant.commit().await.unwrap();
    for _ in 0..8 {
        let mut connection = store.owner().await.unwrap();
        let row = sqlx::query("select current_user = session_user, coalesce(current_setting('app.current_tenant', true), '')");
        let row = row.fetch_one(&mut *connection).await.unwrap();
        assert_eq!((row.get::<bool, _>(0), row.get::<String, _>(1)), (true, String::new()));
    }
}

#[tokio::test]
async fn the_tables_allow_exactly_the_transitions_of_the_model() {
    let store = testing::store().await;
    let mut connection = store.owner().await.unwrap();
    for before in UnitState::ALL {
        for after in UnitState::ALL {
            let expect = UnitEvent::ALL.iter().any(|event| before.next(*event) == Some(after));
            let query = sqlx::query_scalar("select unit_transition_allowed($1, $2)").bind(before.as_str()).bind(after.as_str());
            let found: bool = query.fetch_one(&mut *connection).await.unwrap();
            assert_eq!(found, expect, "{before:?} to {after:?}");
        }
    }
    for before in RunState::ALL {
        for after in RunState::ALL {
            let expect = RunEvent::ALL.iter().any(|event| before.next(*event) == Some(after));
            let query = sqlx::query_scalar("select run_transition_allowed($1, $2)").bind(before.as_str()).bind(after.as_str());
            let found: bool = query.fetch_one(&mut *connection).await.unwrap();
            assert_eq!(found, expect, "{before:?} to {after:?}");
        }
    }
}

#[tokio::test]
async fn the_checks_list_exactly_the_states_of_the_model() {
    let store = testing::store().await;
    let mut connection = store.owner().await.unwrap();
    let mut check = async |constraint: &str, expect: Vec<&str>| {
        let query = sqlx::query_scalar("select pg_get_constraintdef(oid) from pg_constraint where conname = $1").bind(constraint);
        let definition: String = query.fetch_one(&mut *connection).await.unwrap();
        let mut found: Vec<&str> = definition.split('\'').skip(1).step_by(2).collect();
        let mut expect = expect;
        found.sort_unstable();
        expect.sort_unstable();
        assert_eq!(found, expect, "{constraint}");
    };
    check("runs_state_check", RunState::ALL.iter().map(|state| state.as_str()).collect()).await;
    check("run_tasks_state_check", UnitState::ALL.iter().map(|state| state.as_str()).collect()).await;
}

#[tokio::test]
async fn every_migration_is_shown_with_the_time_it_was_applied() {
    let store = testing::store().await;
    let steps = store.migrations().await.unwrap();
    assert_eq!(steps.len(), std::fs::read_dir("migrations").unwrap().count());
    assert!(steps.iter().all(|step| step.applied_at.is_some() && step.matches), "{steps:?}");
}

#[tokio::test]
async fn a_superuser_is_refused() {
    let Err(error) = testing::connect_as_superuser().await else { panic!("a superuser must be refused") };
    assert!(matches!(error, StoreError::BypassesSecurity { .. }), "{error}");
}

/// A store with one run, and that run's id.
async fn store_with_run() -> (Postgres, RunId) {
    let store = testing::store().await;
    let mut tx = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
    let hash = "a".repeat(64);
    let spec = specs::NewSpec { slug: "shop", title: "Shop", content_hash: &hash, source_name: "shop.md", content: b"# Shop" };
    let (spec, spec_version) = specs::submit(&mut tx, &spec).await.unwrap();
    let (run_key, target, output_dir, actor) = ("key", "fastapi", "/out", "user:test");
    let run = runs::NewRun { spec, spec_version, run_key, target, output_dir, options: &Value::Null, actor };
    let run = runs::insert(&mut tx, &run).await.unwrap();
    tx.commit().await.unwrap();
    (store, run)
}

#[tokio::test]
async fn a_changed_document_is_a_new_version_and_the_old_one_stays() {
    let store = testing::store().await;
    let mut tx = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
    let mut submit = async |title: &str, content: &str, expect: u32| {
        let content_hash = hex::encode(sha2::Sha256::digest(content));
        let spec = specs::NewSpec { slug: "shop", title, content_hash: &content_hash, source_name: "shop.md", content: content.as_bytes() };
        let (id, version) = specs::submit(&mut tx, &spec).await.unwrap();
        assert_eq!(version, expect, "{content}");
        id
    };
    let id = submit("Shop", "one", 1).await;
    assert_eq!(submit("Shop", "one", 1).await, id);
    assert_eq!(submit("The shop", "two", 2).await, id);
    assert_eq!(submit("Shop", "one", 1).await, id);
    let content = specs::content(&mut tx, id, 1).await.unwrap();
    assert_eq!(content, Some((b"one".to_vec(), "shop.md".to_owned())));
    let found = specs::find(&mut tx, "shop").await.unwrap().unwrap();
    assert_eq!((found.id, found.version), (id, 2));
}

#[tokio::test]
async fn the_same_command_has_one_unfinished_run_and_transitions_outside_the_chart_are_refused() {
    let (store, run) = store_with_run().await;
    let mut tx = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
    let row = runs::find(&mut tx, run).await.unwrap().unwrap();
    let again = runs::NewRun {
        spec: row.spec,
        spec_version: 1,
        run_key: &row.run_key,
        target: "fastapi",
        output_dir: "/out",
        options: &Value::Null,
        actor: "user:test",
    };
    let error = runs::insert(&mut tx, &again).await.unwrap_err();
    assert!(error.is_constraint("runs_unfinished_key"), "{error}");
    drop(tx);
    let mut tx = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
    let moved = runs::transition(&mut tx, run, RunEvent::Succeed, "").await.unwrap();
    assert_eq!(moved, Some((RunState::Queued, None)));
    let direct = sqlx::query("update runs set state = 'succeeded'").execute(&mut *tx).await.unwrap_err();
    assert!(StoreError::from(direct).is_constraint("runs_transition_check"));
    drop(tx);
    let mut tx = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
    let tail = run.to_string().split_off(30);
    for text in ["shop", &run.to_string(), &tail] {
        assert_eq!(runs::resolve(&mut tx, text).await.unwrap().len(), 1, "{text}");
    }
    assert_eq!(runs::resolve(&mut tx, "%").await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_phase_that_succeeded_is_not_begun_again() {
    let (store, run) = store_with_run().await;
    let mut tx = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
    assert_eq!(phases::begin(&mut tx, run, "ingest", 0).await.unwrap(), None);
    phases::fail(&mut tx, run, "ingest", 0, "disk full").await.unwrap();
    assert_eq!(phases::begin(&mut tx, run, "ingest", 0).await.unwrap(), None);
    phases::succeed(&mut tx, run, "ingest", 0, &json!({ "entities": 3 })).await.unwrap();
    phases::fail(&mut tx, run, "ingest", 0, "too late").await.unwrap();
    assert_eq!(phases::begin(&mut tx, run, "ingest", 0).await.unwrap(), Some(json!({ "entities": 3 })));
    assert_eq!(phases::recorded(&mut tx, run, "ingest", 1).await.unwrap(), None);
    let journal = phases::list(&mut tx, run).await.unwrap();
    assert_eq!(journal.iter().map(|phase| (phase.state.as_str(), phase.starts)).collect::<Vec<_>>(), [("succeeded", 2)]);
}

/// Numbers of transactions get longer, and one page must end where the next begins.
#[tokio::test]
async fn announcements_are_read_in_the_order_of_their_transactions_however_many_digits_those_have() {
    let (store, run) = store_with_run().await;
    let mut tx = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
    for xid in ["100", "9", "99", "10"] {
        let insert = "insert into outbox (organization_id, xid, aggregate, aggregate_id, aggregate_version, kind, payload, run_id) \
                      values ($1, $2::xid8, 'phase', $3, 1, 'of_' || $2, '{}', $3)";
        sqlx::query(insert).bind(LOCAL_ORGANIZATION.0).bind(xid).bind(run.0).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut tx = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
    let (mut place, mut kinds) = (run_events::Place::default(), Vec::new());
    for _ in 0..2 {
        for event in run_events::read(&mut tx, run, place, 2).await.unwrap() {
            place = event.place;
            kinds.push(event.kind);
        }
    }
    assert_eq!(kinds, ["of_9", "of_10", "of_99", "of_100"]);
}

#[tokio::test]
async fn what_a_run_found_comes_back_as_it_was_and_a_repeated_phase_leaves_it_once() {
    let (store, run) = store_with_run().await;
    let mut tx = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
    let check = CheckResult {
        name: "probe/create".to_owned(),
        subject: Some(Subject::Operation("POST /books".to_owned())),
        verdict: Verdict::Failed,
        command: "POST /books".to_owned(),
        detail: "500".to_owned(),
        duration_ms: 12,
    };
    let finding = Finding::warning("unknown-type", "no such type", Some(Position { line: 3, column: 7 }), "use text");
    for _ in 0..2 {
        health::save(&mut tx, run, "validate", 1, std::slice::from_ref(&check)).await.unwrap();
        findings::save(&mut tx, run, "ingest", &[finding.clone(), Finding::info("note", "seen", None, "")]).await.unwrap();
        reports::save(&mut tx, run, "validation", 1, &json!({ "compliance": 0.5 })).await.unwrap();
    }
    reports::save(&mut tx, run, "validation", 2, &json!({ "compliance": 1.0 })).await.unwrap();
    let checks = health::of_run(&mut tx, run).await.unwrap();
    assert_eq!(checks, [health::HealthCheck { phase: "validate".to_owned(), round: 1, check }]);
    let found = findings::of_run(&mut tx, run).await.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0], ("ingest".to_owned(), finding));
    assert_eq!(reports::newest(&mut tx, run, "validation").await.unwrap(), Some(json!({ "compliance": 1.0 })));
    assert_eq!(reports::list(&mut tx, run).await.unwrap().len(), 2);
}

fn pattern(run: RunId, title: &str) -> Pattern {
    Pattern {
        id: PatternId::new(),
        kind: PatternKind::Code,
        title: title.to_owned(),
        text: "paginated list".to_owned(),
        code: "def list(): ...".to_owned(),
        language: "python".to_owned(),
        framework: "fastapi".to_owned(),
        unit_type: "api".to_owned(),
        spec_type: "markdown".to_owned(),
        success: true,
        run,
        unit_key: "api/GET /books".to_owned(),
        evidence: vec!["lint".to_owned()],
    }
}

#[tokio::test]
async fn patterns_keep_a_vector_for_each_embedder_and_count_their_versions() {
    let (store, run) = store_with_run().await;
    let mut tx = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
    let (first, second) = (pattern(run, "first"), pattern(run, "second"));
    assert_eq!(patterns::store(&mut tx, &first, "one", &[1.0, 0.0]).await.unwrap(), 1);
    assert_eq!(patterns::store(&mut tx, &first, "one", &[0.5, 0.5]).await.unwrap(), 2);
    assert_eq!(patterns::store(&mut tx, &second, "two", &[1.0]).await.unwrap(), 1);
    let vectors = patterns::vectors(&mut tx, "one", None, 10).await.unwrap();
    assert_eq!(vectors.iter().map(|(row, vector)| (row.version, vector.clone())).collect::<Vec<_>>(), [(2, vec![0.5, 0.5])]);
    assert_eq!(vectors[0].0.pattern, first);
    let missing = patterns::without_vector(&mut tx, "one", 10).await.unwrap();
    assert_eq!(missing.iter().map(|row| row.pattern.id).collect::<Vec<_>>(), [second.id]);
    assert_eq!(patterns::count(&mut tx).await.unwrap(), 2);
    let listed = patterns::list(&mut tx, &patterns::PatternFilter { success: Some(true), ..Default::default() }, 1).await.unwrap();
    assert_eq!(listed.iter().map(|row| row.pattern.id).collect::<Vec<_>>(), [second.id]);
    assert_eq!(patterns::find(&mut tx, &[first.id]).await.unwrap()[0].uses, 0);
    tx.commit().await.unwrap();
    let other = testing::other_organization(&store).await;
    let mut tx = store.tenant(other).await.unwrap();
    assert_eq!(patterns::count(&mut tx).await.unwrap(), 0);
}

#[tokio::test]
async fn the_audit_log_tells_who_asked_for_what() {
    let (store, run) = store_with_run().await;
    let mut tx = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
    audit::record(&mut tx, "user:ada", "run.cancel", &run.to_string(), Some(&json!("running")), None).await.unwrap();
    let rows = audit::of_subject(&mut tx, &run.to_string()).await.unwrap();
    let told: Vec<_> = rows.iter().map(|row| (row.actor.as_str(), row.action.as_str(), row.before.clone())).collect();
    assert_eq!(told, [("user:ada", "run.cancel", Some(json!("running")))]);
}

#[tokio::test]
async fn what_was_counted_of_a_skill_is_kept_for_each_run_and_seen_by_its_organization_alone() {
    let (store, run) = store_with_run().await;
    let mut tx = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
    let mut api =
        crate::model::SkillCounts { files_checked: 9, files_failed: 2, problems: 5, ..crate::model::SkillCounts::of("backend-api", 1) };
    let css = crate::model::SkillCounts::of("frontend-css", 1);
    skills::record(&mut tx, run, &[api.clone(), css]).await.unwrap();
    api.files_fixed = 1;
    skills::record(&mut tx, run, &[api.clone()]).await.unwrap();
    let found: Vec<_> = skills::history(&mut tx, "backend-api", 10).await.unwrap().into_iter().map(|row| (row.run, row.counts)).collect();
    assert_eq!(found, [(run, api.clone())], "counted again, kept once");
    assert_eq!(skills::history(&mut tx, "backend-api", 0).await.unwrap(), []);
    tx.commit().await.unwrap();
    let mut tx = store.tenant(testing::other_organization(&store).await).await.unwrap();
    assert_eq!(skills::history(&mut tx, "backend-api", 10).await.unwrap(), []);
    let error = skills::record(&mut tx, run, &[api.clone()]).await.unwrap_err();
    assert!(error.is_constraint("skill_results_run_id_fkey"), "another's run: {error}");
    drop(tx);
    let mut tx = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
    let wrong = crate::model::SkillCounts { files_fixed: 3, ..api };
    let error = skills::record(&mut tx, run, &[wrong]).await.unwrap_err();
    assert!(error.is_constraint("skill_results_counts_check"), "more fixed than failed: {error}");
}
