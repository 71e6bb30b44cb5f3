//! From recorded tries to the standing of patterns and back to what the next unit is told, on a real database.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::contexts::Patterns;
use super::enrolling::{Sending, enrol};
use super::gathering::Sources;
use super::inputs::Inputs;
use crate::agents::{Agent, AgentError, Delivery, Work};
use crate::context::{Context, Level};
use crate::embed::{Embedder, Lexical};
use crate::engine::Claim;
use crate::engine::testing::{Bench, ORGANIZATION, plan};
use crate::generate::TargetPack;
use crate::ingest;
use crate::learning::trial::{HoldoutShare, Standing, Verdict};
use crate::learning::{Campaign, Follower, Memory, campaign, words};
use crate::model::{Actor, AgentKind, Pattern, PatternId, PatternKind, Plan, RunId, SpecDocument, SpecId, Task};
use crate::pipeline::{analyze, plan as planning};
use crate::store::cache::Cache;
use crate::store::postgres::assignments::{self, AssignmentRow, Ended, RecordRow};
use crate::store::postgres::{audit, testing};
use crate::store::vectors::Vectors;

/// More units than any of the planted effects needs.
const UNITS_MAX: i64 = 600;

struct Reader;

impl Agent for Reader {
    fn name(&self) -> &'static str {
        "general"
    }

    fn kind(&self) -> AgentKind {
        AgentKind::Llm
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn deterministic(&self) -> bool {
        false
    }

    fn perform(&self, _: Work) -> Delivery<'_> {
        Box::pin(async { Err(AgentError::Stopped("it is there to be sent".to_owned())) })
    }
}

/// An organization that remembers one pattern, and a claimed unit of a run.
struct Bed {
    bench: Bench,
    claim: Claim,
    memory: Memory,
    document: SpecDocument,
    plan: Plan,
    pack: TargetPack,
    spec: SpecId,
}

impl Bed {
    async fn new() -> Self {
        let bench = Bench::new(&plan(&[("a", 3)], &[])).await;
        let claim = bench.claim_one().await.claim;
        let document = ingest::read(include_bytes!("../../examples/bookstore.md"), Some("bookstore.md"), None).document.unwrap();
        let pack = TargetPack::load("fastapi").unwrap();
        let plan = planning::build(&document, &analyze::analyze(&document), &pack.blueprints(&document).unwrap(), None).unwrap();
        let embedder = Arc::new(Lexical);
        let memory = Memory {
            tenant: ORGANIZATION,
            postgres: bench.engine.store().clone(),
            vectors: Vectors::exact(embedder.dimension()),
            embedder,
            follower: Follower::default(),
            half_life: Duration::from_hours(24 * 90),
        };
        let bed = Self { bench, claim, memory, document, plan, pack, spec: SpecId(uuid::Uuid::from_u128(7)) };
        bed.memory.learn(&[bed.remembered()]).await.unwrap();
        bed
    }

    fn unit(&self) -> &Task {
        self.plan.task("schema/author").unwrap()
    }

    fn remembered(&self) -> Pattern {
        Pattern {
            id: PatternId(uuid::Uuid::from_u128(1)),
            kind: PatternKind::Code,
            title: "What worked".to_owned(),
            text: words::unit(&self.document, self.unit()),
            code: "remembered = True".to_owned(),
            language: self.pack.language().to_owned(),
            framework: self.pack.framework().to_owned(),
            unit_type: "schema".to_owned(),
            spec_type: "markdown".to_owned(),
            success: true,
            run: RunId(uuid::Uuid::from_u128(1)),
            unit_key: "schema/author".to_owned(),
            evidence: vec!["probe".to_owned()],
        }
    }

    /// Sends somebody to the unit under a token, as if it were one more unit.
    async fn enrol(&self, token: i64) -> Patterns {
        self.enrol_with(token, &token.to_string()).await
    }

    /// The same with what goes in, by hash.
    async fn enrol_with(&self, token: i64, input_hash: &str) -> Patterns {
        let sending = Sending {
            spec: self.spec,
            unit: self.unit(),
            claim: &Claim { token, ..self.claim },
            input_hash,
            agent: &Reader,
            reason: "it is the only one",
            choice: None,
            holdout_share: HoldoutShare::new(0.5).ok(),
        };
        let mut tx = self.bench.engine.store().tenant(ORGANIZATION).await.unwrap();
        let patterns = enrol(&mut tx, &sending).await.unwrap();
        tx.commit().await.unwrap();
        patterns
    }

    async fn end(&self, token: i64, passed: impl Into<Option<bool>>, cost_micros: Option<u64>) {
        let mut tx = self.bench.engine.store().tenant(ORGANIZATION).await.unwrap();
        let ended = Ended { passed: passed.into(), cost_micros, ..Ended::default() };
        assignments::end(&mut tx, &Claim { token, ..self.claim }, &ended).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Units one after the other, of which so many in ten pass with patterns and without, until that campaign has begun; the first token
    /// that is free.
    async fn plant(&self, from: i64, shown_pass: i64, held_out_pass: i64, campaign: u32) -> i64 {
        for token in from..from + UNITS_MAX {
            let patterns = self.enrol(token).await;
            if self.campaign().await.number == campaign {
                return token + 1;
            }
            let in_ten = if patterns == Patterns::Withheld { held_out_pass } else { shown_pass };
            self.end(token, token % 10 < in_ten, Some(1)).await;
        }
        panic!("{UNITS_MAX} units say nothing: {:?}", self.campaign().await);
    }

    async fn campaign(&self) -> Campaign {
        let mut tx = self.bench.engine.store().tenant(ORGANIZATION).await.unwrap();
        campaign::current(&mut tx).await.unwrap()
    }

    async fn verdict(&self) -> Verdict {
        let mut tx = self.bench.engine.store().tenant(ORGANIZATION).await.unwrap();
        let campaign = campaign::current(&mut tx).await.unwrap();
        campaign::verdict(&mut tx, &campaign).await.unwrap()
    }

    async fn rows(&self) -> Vec<AssignmentRow> {
        let mut tx = self.bench.engine.store().tenant(ORGANIZATION).await.unwrap();
        assignments::list(&mut tx, self.claim.run, None).await.unwrap()
    }

    /// What the unit is told, made anew.
    async fn context(&self, patterns: Patterns) -> Context {
        let inputs = Inputs::new(&self.plan, self.pack.fragments(&self.document).unwrap());
        let sources = Sources {
            organization: ORGANIZATION,
            run: self.claim.run,
            postgres: self.bench.engine.store(),
            cache: &Cache::embedded(),
            memory: &self.memory,
            pack: Some(&self.pack),
            document: &self.document,
            plan: &self.plan,
            inputs: &inputs,
        };
        sources.context(self.unit(), Level::Extended, "hash", &BTreeMap::new(), &[], patterns).await.unwrap().context
    }
}

#[tokio::test]
async fn planted_harm_is_demoted_and_the_next_unit_is_shown_nothing_until_somebody_retries() {
    let bed = Bed::new().await;
    let shown = bed.context(Patterns::Shown(Standing::Candidate)).await;
    assert!(shown.text.contains("remembered = True"), "{}", shown.text);
    assert_eq!(bed.context(Patterns::Shown(Standing::Candidate)).await, shown, "the same bytes");

    let next = bed.plant(1_000, 2, 10, 2).await;
    let last = bed.rows().await.pop().unwrap();
    assert_eq!((last.arm.as_deref(), last.withheld), (None, true));
    assert!(last.arm_reason.starts_with("patterns are demoted and shown to nobody") && last.arm_reason.contains("they harmed"), "{last:?}");
    for token in next..next + 5 {
        assert_eq!(bed.enrol(token).await, Patterns::Withheld);
    }
    let told = bed.context(bed.enrol(next + 5).await).await;
    assert!(
        !told.text.contains("remembered") && !told.receipt.parts.iter().any(|part| part.source.starts_with("pattern ")),
        "{}",
        told.text
    );

    let demoted = bed.campaign().await;
    let moved = demoted.begun.clone().unwrap();
    let evidence = moved.evidence.unwrap();
    assert_eq!((demoted.number, moved.actor.as_str()), (2, "learning"));
    assert!(evidence.upper < 0.0 && evidence.units() > 10, "{evidence:?}");
    let store = bed.bench.engine.store();
    let mut tx = store.tenant(ORGANIZATION).await.unwrap();
    assert_eq!(campaign::judge(&mut tx).await.unwrap(), demoted, "one verdict moves it once");
    assert_eq!(campaign::history(&mut tx).await.unwrap(), std::slice::from_ref(&demoted));
    let retried = campaign::retry(&mut tx, &Actor::local("ada")).await.unwrap().unwrap();
    assert_eq!((retried.number, retried.standing), (3, Standing::Candidate));
    assert_eq!(campaign::retry(&mut tx, &Actor::local("ada")).await.unwrap(), None, "there is nothing to retry");
    let audited = audit::of_subject(&mut tx, "patterns").await.unwrap();
    assert_eq!(audited.iter().map(|row| row.action.as_str()).collect::<Vec<_>>(), ["patterns.retry"]);
    tx.commit().await.unwrap();
    // What is known from before does not count.
    assert_eq!(bed.verdict().await.effect().units(), 0);
    bed.enrol(next + 6).await;
    assert_eq!(bed.campaign().await, retried);
}

#[tokio::test]
async fn planted_help_is_promoted_and_fewer_are_held_out_and_later_harm_is_noticed() {
    let bed = Bed::new().await;
    let next = bed.plant(1_000, 10, 2, 2).await;
    let last = bed.rows().await.pop().unwrap();
    assert!(last.arm.is_some() && last.arm_reason.contains("at 10 % held out in campaign 2; patterns are promoted"), "{last:?}");
    bed.end(next - 1, true, None).await;
    // That they help once more is no reason to take longer about harm.
    let next = bed.plant(next, 10, 2, 3).await;
    bed.end(next - 1, true, None).await;
    bed.plant(next, 1, 10, 4).await;
    let store = bed.bench.engine.store();
    let mut tx = store.tenant(ORGANIZATION).await.unwrap();
    let moves = campaign::history(&mut tx).await.unwrap();
    assert_eq!(
        moves.iter().map(|one| (one.number, one.standing)).collect::<Vec<_>>(),
        [(4, Standing::Demoted), (3, Standing::Promoted), (2, Standing::Promoted)]
    );
}

#[tokio::test]
async fn units_that_pass_as_often_either_way_move_nothing() {
    let bed = Bed::new().await;
    for token in 1_000..1_100 {
        bed.enrol(token).await;
        bed.end(token, token % 10 < 5, None).await;
    }
    assert_eq!(bed.campaign().await.number, 1);
    assert!(matches!(bed.verdict().await, Verdict::NotEnoughEvidence(effect) if effect.units() == 100));
}

#[tokio::test]
async fn what_was_enrolled_after_a_unit_that_is_under_way_does_not_count_yet() {
    let bed = Bed::new().await;
    let ended = async |token: i64| {
        bed.enrol(token).await;
        bed.end(token, true, None).await;
    };
    ended(1_000).await;
    // The claim that is held, and one that was lost: nobody will ever end it.
    bed.enrol(bed.claim.token).await;
    bed.enrol(1_001).await;
    ended(1_002).await;
    assert_eq!(bed.verdict().await.effect().units(), 1);
    bed.end(bed.claim.token, false, None).await;
    assert_eq!(bed.verdict().await.effect().units(), 3);
}

#[tokio::test]
async fn whoever_looks_at_the_same_time_makes_the_same_move() {
    let bed = Bed::new().await;
    let mut token = 1_000;
    while matches!(bed.verdict().await, Verdict::NotEnoughEvidence(_)) {
        let patterns = bed.enrol(token).await;
        bed.end(token, patterns == Patterns::Withheld, None).await;
        token += 1;
    }
    assert_eq!(bed.campaign().await.number, 1, "nobody has looked since");
    let store = bed.bench.engine.store();
    let other = testing::other_organization(store).await;
    let mut tx = store.tenant(other).await.unwrap();
    assert_eq!(campaign::current(&mut tx).await.unwrap().number, 1, "another organization knows nothing of it");
    assert_eq!(campaign::history(&mut tx).await.unwrap(), []);
    tx.commit().await.unwrap();
    let look = async || {
        let mut tx = store.tenant(ORGANIZATION).await.unwrap();
        let campaign = campaign::judge(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
        campaign
    };
    let (one, two, three) = tokio::join!(look(), look(), look());
    assert_eq!((one.number, one.standing), (2, Standing::Demoted));
    assert_eq!((&two, &three), (&one, &one));
}

#[tokio::test]
async fn an_agents_record_knows_what_a_unit_costs_it_with_all_its_tries() {
    let bed = Bed::new().await;
    let record = async || {
        let mut tx = bed.bench.engine.store().tenant(ORGANIZATION).await.unwrap();
        let unit = bed.unit();
        let size = crate::learning::trial::UnitSize::of(unit.effort).as_str();
        assignments::records(&mut tx, unit.task_type, size).await.unwrap().remove("general").unwrap_or_default()
    };
    assert_eq!(record().await, RecordRow::default());
    for (token, cost) in [(1_000, Some(200)), (1_001, Some(301))] {
        bed.enrol(token).await;
        bed.end(token, token == 1_000, cost).await;
    }
    // Two tries at one unit, of inputs of their own.
    assert_eq!(record().await, RecordRow { passed: 1, failed: 1, cost_micros: Some(501) });
    bed.enrol(1_002).await;
    bed.end(1_002, true, None).await;
    assert_eq!(record().await, RecordRow { passed: 2, failed: 1, cost_micros: None }, "a part of it is unknown");
}

#[tokio::test]
async fn a_try_that_came_to_nothing_through_no_fault_of_its_own_is_nobodys_first_one() {
    let bed = Bed::new().await;
    let store = bed.bench.engine.store();
    let units = async || {
        let mut tx = store.tenant(ORGANIZATION).await.unwrap();
        assignments::trial(&mut tx, 1).await.unwrap()
    };
    let record = async || {
        let mut tx = store.tenant(ORGANIZATION).await.unwrap();
        let standings = assignments::standings(&mut tx).await.unwrap();
        let busy = assignments::busy(&mut tx).await.unwrap();
        (standings.into_values().next().unwrap_or_default(), busy.len())
    };
    bed.enrol_with(1_000, "the same").await;
    bed.end(1_000, None, None).await;
    assert_eq!(units().await, [], "the server was away");
    let (standing, busy) = record().await;
    assert_eq!((standing.passed, standing.failed, standing.unit_cost_micros, busy), (0, 0, None, 0));
    assert_eq!(bed.rows().await.len(), 1);
    assert_eq!(bed.rows().await[0].ended.as_ref().unwrap().passed, None, "it has ended all the same");

    bed.enrol_with(1_001, "the same").await;
    bed.end(1_001, true, Some(5)).await;
    assert_eq!(units().await.iter().map(|row| row.passed).collect::<Vec<_>>(), [true], "the next one counts in its place");
    bed.enrol_with(1_002, "the same").await;
    bed.end(1_002, false, Some(7)).await;
    assert_eq!(units().await.len(), 1, "and the one after it does not");
    let (standing, _) = record().await;
    assert_eq!((standing.passed, standing.failed, standing.unit_cost_micros), (1, 0, Some(12)));
}
