//! Plans, and an engine to run them, for the tests of the engine and of what follows it.

use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::*;
use crate::model::id::LOCAL_ORGANIZATION;
use crate::model::plan::{Effort, EffortUnit, PLAN_SCHEMA_VERSION, PlanSpec};
use crate::model::{Actor, AgentKind, Dependency, OrganizationId, Plan, Role, SpecFormat, Task, TaskKind, TaskType};
use crate::store::postgres::specs::NewSpec;
use crate::store::postgres::testing as database;

/// A plan of units with their efforts (a gate has effort 0), and edges `(task, depends_on)`.
pub(crate) fn plan(units: &[(&str, u32)], edges: &[(&str, &str)]) -> Plan {
    let task = |(key, effort): &(&str, u32)| Task {
        key: (*key).to_owned(),
        parent: None,
        kind: TaskKind::Task,
        role: if *effort == 0 { Role::Gate } else { Role::Unit },
        task_type: TaskType::Generic,
        phase: 3,
        title: format!("Task {key}"),
        description: String::new(),
        priority: 3,
        effort: Effort { amount: *effort, unit: EffortUnit::Points },
        criteria: Vec::new(),
        expected_output: String::new(),
        files: Vec::new(),
        skills: Vec::new(),
        requirements: Vec::new(),
        position: None,
        wave: Some(1),
        critical: false,
        slack: 0,
        waiting: None,
    };
    let edge = |(task, depends_on): &(&str, &str)| Dependency {
        task: (*task).to_owned(),
        depends_on: (*depends_on).to_owned(),
        reason: "test".to_owned(),
    };
    let content_hash = "0".repeat(64);
    Plan {
        schema_version: PLAN_SCHEMA_VERSION,
        spec: PlanSpec { title: "Test".to_owned(), slug: "test".to_owned(), format: SpecFormat::Markdown, content_hash },
        target: None,
        requirements: Vec::new(),
        tasks: units.iter().map(task).collect(),
        dependencies: edges.iter().map(edge).collect(),
        waves: Vec::new(),
        critical_path: Vec::new(),
        findings: Vec::new(),
    }
}

/// An engine on a database of its own, with a run of that plan that it drives.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) actor: Actor,
    pub(crate) run: RunId,
    pub(crate) guard: RunGuard,
}

pub(crate) const ORGANIZATION: OrganizationId = LOCAL_ORGANIZATION;

/// A submission of that content under the name `test`.
pub(crate) fn submission<'a>(content_hash: &'a str, options: &'a Value) -> Submission<'a> {
    let spec = NewSpec { slug: "test", title: "Test", content_hash, source_name: "test.md", content: content_hash.as_bytes() };
    Submission { spec, target: "fastapi", output_dir: "/tmp/out", options, fresh: false }
}

/// The hash of some content.
pub(crate) fn hash(content: &str) -> String {
    hex::encode(Sha256::digest(content))
}

impl Bench {
    pub(crate) async fn new(plan: &Plan) -> Self {
        Self::with(plan, |_| {}, |_| None).await
    }

    /// The same with other options, and a kind of agent for each task.
    pub(crate) async fn with(plan: &Plan, change: impl FnOnce(&mut EngineOptions), kind: impl Fn(&Task) -> Option<AgentKind>) -> Self {
        let retry = RetryPolicy { base: Duration::ZERO, ..RetryPolicy::default() };
        let mut options = EngineOptions { lease: Duration::from_secs(1), retry, ..EngineOptions::default() };
        change(&mut options);
        let engine = Engine::new(database::store().await, options);
        let actor = Actor::local("test");
        let run = engine.submit(&actor, &submission(&hash("one"), &Value::Null)).await.unwrap().run;
        let Drive::Taken { guard, .. } = engine.drive(ORGANIZATION, run).await.unwrap() else { panic!("nobody else drives it") };
        engine.load_plan(ORGANIZATION, run, plan, kind).await.unwrap();
        Self { engine, actor, run, guard }
    }

    pub(crate) async fn claim(&self, max: u32) -> Vec<ClaimedUnit> {
        self.engine.claim(ORGANIZATION, self.run, max, Dispatch::Readiness).await.unwrap().units
    }

    /// What is handed out when waves are barriers.
    pub(crate) async fn claim_in_waves(&self, max: u32) -> Vec<ClaimedUnit> {
        self.engine.claim(ORGANIZATION, self.run, max, Dispatch::Waves).await.unwrap().units
    }

    pub(crate) async fn claim_one(&self) -> ClaimedUnit {
        self.claim(1).await.pop().expect("a unit is ready")
    }

    pub(crate) async fn settle(&self, unit: &ClaimedUnit, result: UnitResult) -> Settled {
        let input_hash = Some(hash(&unit.key));
        let settlement =
            Settlement { claim: unit.claim, result, agent: "test".to_owned(), input_hash, checks: Vec::new(), log: String::new() };
        self.engine.settle(ORGANIZATION, settlement).await.unwrap()
    }

    pub(crate) async fn succeed(&self, unit: &ClaimedUnit) -> Settled {
        self.settle(unit, UnitResult::Succeeded { artifacts: Vec::new() }).await
    }

    pub(crate) async fn fail(&self, unit: &ClaimedUnit, class: ErrorClass) -> Settled {
        self.settle(unit, UnitResult::Failed { class, error: "broken".to_owned() }).await
    }

    /// The state of every unit, as `key:state` in plan order.
    pub(crate) async fn states(&self) -> String {
        let units = self.engine.snapshot(ORGANIZATION, self.run).await.unwrap().units;
        units.iter().map(|unit| format!("{}:{}", unit.key, unit.state.as_str())).collect::<Vec<_>>().join(" ")
    }

    /// Lets every lease have run out.
    pub(crate) async fn expire_leases(&self) {
        database::expire_leases(self.engine.store()).await;
    }

    /// The keys of units whose state or counters are not what counting gives.
    pub(crate) async fn wrong_counters(&self) -> Vec<String> {
        database::wrong_counters(self.engine.store()).await
    }
}
