//! Questions about units, against a real PostgreSQL.

use super::*;
use crate::engine::testing::{Bench, ORGANIZATION, plan};
use crate::engine::{ErrorClass, UnitResult};
use crate::model::RunEvent;
use crate::store::postgres::testing as database;

/// A run with a unit that waits and one that is ready.
async fn bench() -> Bench {
    let bench = Bench::new(&plan(&[("a", 2), ("b", 1)], &[])).await;
    let a = bench.claim_one().await;
    assert_eq!(a.key, "a");
    bench.settle(&a, UnitResult::Waiting { reason: "nobody can do it".to_owned() }).await;
    assert_eq!(bench.states().await, "a:waiting b:ready");
    bench
}

async fn unit(tx: &mut TenantTx, bench: &Bench, key: &str) -> UnitEntry {
    tasks::unit_of_key(tx, bench.run, key).await.unwrap().unwrap()
}

/// Asks, and commits.
async fn asked(bench: &Bench, key: &str, text: &str) -> Result<Question, QuestionError> {
    let mut tx = bench.engine.store().tenant(ORGANIZATION).await.unwrap();
    let unit = unit(&mut tx, bench, key).await;
    let question = ask(&mut tx, &bench.actor, &unit, text).await?;
    tx.commit().await.unwrap();
    Ok(question)
}

/// Answers, and commits.
async fn answered(bench: &Bench, key: &str, to: To, text: &str) -> Result<Answer, QuestionError> {
    let mut tx = bench.engine.store().tenant(ORGANIZATION).await.unwrap();
    let unit = unit(&mut tx, bench, key).await;
    let answer = answer(&mut tx, &bench.actor, &unit, to, text).await?;
    tx.commit().await.unwrap();
    Ok(answer)
}

#[tokio::test]
async fn a_unit_that_waits_is_offered_again_when_its_last_question_is_answered() {
    let bench = bench().await;
    let first = asked(&bench, "a", "Which currency?").await.unwrap();
    assert_eq!((first.number, first.asked_by.as_str(), first.open()), (1, "user:test", true));
    assert_eq!(asked(&bench, "a", " Which currency?\n").await.unwrap(), first, "asked once");
    let second = asked(&bench, "a", "How many decimals?").await.unwrap();
    assert_eq!((second.number, asked(&bench, "b", "Why?").await.unwrap().number), (2, 1));
    assert_eq!(bench.states().await, "a:waiting b:ready");

    let several = answered(&bench, "a", To::TheOpenOne, "EUR").await.unwrap_err();
    assert_eq!(several.to_string(), "unit a has several open questions: 1, 2");
    let nobody = answered(&bench, "a", To::Number(3), "EUR").await.unwrap_err();
    assert_eq!(nobody.to_string(), "unit a has no question 3");
    let answer = answered(&bench, "a", To::Number(1), "EUR").await.unwrap();
    assert_eq!((answer.question.answer.as_deref(), answer.unit), (Some("EUR"), Offered::Open(1)));
    let twice = answered(&bench, "a", To::Id(first.id), "USD").await.unwrap_err();
    assert_eq!(twice.to_string(), "question 1 about unit a was answered before, by user:test");
    assert_eq!(bench.states().await, "a:waiting b:ready");
    assert_eq!(answered(&bench, "a", To::TheOpenOne, "2").await.unwrap().unit, Offered::Again);
    assert_eq!(bench.states().await, "a:ready b:ready");
    assert_eq!(bench.wrong_counters().await, Vec::<String>::new());

    let mut tx = bench.engine.store().tenant(ORGANIZATION).await.unwrap();
    let spec = unit(&mut tx, &bench, "a").await.spec;
    let told = questions::answered(&mut tx, spec, "a", 10).await.unwrap();
    assert_eq!(told.iter().map(|told| told.number).collect::<Vec<_>>(), [1, 2]);
    let rows = audit::of_subject(&mut tx, &bench.run.to_string()).await.unwrap();
    let did: Vec<&str> = rows.iter().map(|row| row.action.as_str()).filter(|action| action.starts_with("unit.")).collect();
    assert_eq!(did, ["unit.ask", "unit.ask", "unit.ask", "unit.answer", "unit.answer", "unit.retry"]);
}

#[tokio::test]
async fn what_failed_is_offered_again_too_and_other_units_stay_where_they_are() {
    let bench = bench().await;
    let b = bench.claim_one().await;
    let clarified = answered(&bench, "b", To::TheOpenOne, "It is for Europe.").await.unwrap();
    assert_eq!((clarified.question.question.as_str(), clarified.unit), ("", Offered::Standing(UnitState::Running)));
    bench.fail(&b, ErrorClass::NeedsInput).await;
    assert_eq!(bench.states().await, "a:waiting b:failed");
    asked(&bench, "b", "Which country?").await.unwrap();
    assert_eq!(answered(&bench, "b", To::TheOpenOne, "France").await.unwrap().unit, Offered::Again);
    assert_eq!(bench.states().await, "a:waiting b:ready");
}

#[tokio::test]
async fn texts_are_kept_within_limits_and_without_secrets() {
    let bench = bench().await;
    let kept = asked(&bench, "a", "\u{1b}[2Jis api_key=abc123 right?\r\n").await.unwrap();
    assert_eq!(kept.question, "\u{fffd}[2Jis api_key=[redacted] right?");
    for empty in ["", " \n\t"] {
        assert!(matches!(asked(&bench, "a", empty).await, Err(QuestionError::Empty { what: "question" })));
    }
    assert!(matches!(answered(&bench, "a", To::TheOpenOne, " ").await, Err(QuestionError::Empty { what: "answer" })));
    asked(&bench, "a", &"é".repeat(TEXT_BYTES_MAX / 2)).await.unwrap();
    let long = asked(&bench, "a", &"x".repeat(TEXT_BYTES_MAX + 1)).await.unwrap_err();
    assert_eq!(long.to_string(), "the question has 2001 bytes, more than 2000");
    for number in 2..QUESTIONS_MAX {
        asked(&bench, "a", &format!("{number}?")).await.unwrap();
    }
    let many = asked(&bench, "a", "one more?").await.unwrap_err();
    assert_eq!(many.to_string(), "100 questions and clarifications about unit a are there already");
}

#[tokio::test]
async fn an_answer_that_came_while_the_unit_was_tried_is_not_lost() {
    let bench = bench().await;
    let offered = async || {
        let mut tx = bench.engine.store().tenant(ORGANIZATION).await.unwrap();
        let entry = unit(&mut tx, &bench, "b").await;
        offer_if_answered(&mut tx, &bench.actor, &entry).await.unwrap();
        tx.commit().await.unwrap();
        bench.states().await
    };
    let b = bench.claim_one().await;
    asked(&bench, "b", "Which currency?").await.unwrap();
    assert_eq!(answered(&bench, "b", To::TheOpenOne, "EUR").await.unwrap().unit, Offered::Standing(UnitState::Running));
    asked(&bench, "b", "How many decimals?").await.unwrap();
    bench.settle(&b, UnitResult::Waiting { reason: "it asks".to_owned() }).await;
    assert_eq!(offered().await, "a:waiting b:waiting", "one is open");
    let mut tx = bench.engine.store().tenant(ORGANIZATION).await.unwrap();
    let open = questions::of_run(&mut tx, bench.run, Some("b")).await.unwrap().into_iter().find(Question::open).unwrap();
    questions::answer(&mut tx, open.id, "user:test", "2").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(offered().await, "a:waiting b:ready");
}

#[tokio::test]
async fn another_organization_sees_no_question_and_a_run_called_off_takes_none() {
    let bench = bench().await;
    asked(&bench, "a", "Which currency?").await.unwrap();
    let other = database::other_organization(bench.engine.store()).await;
    let mut tx = bench.engine.store().tenant(ORGANIZATION).await.unwrap();
    let entry = unit(&mut tx, &bench, "a").await;
    drop(tx);
    let mut tx = bench.engine.store().tenant(other).await.unwrap();
    assert_eq!(questions::of_run(&mut tx, bench.run, None).await.unwrap(), []);
    assert_eq!(tasks::unit_of_key(&mut tx, bench.run, "a").await.unwrap(), None);
    let error = questions::add(&mut tx, &entry, "user:eve", "Which secret?", None).await.unwrap_err();
    assert!(error.is_constraint("questions_run_id_fkey"), "{error}");
    drop(tx);
    let mut tx = bench.engine.store().tenant(ORGANIZATION).await.unwrap();
    runs::transition(&mut tx, bench.run, RunEvent::Cancel, "enough").await.unwrap();
    tx.commit().await.unwrap();
    let over = asked(&bench, "a", "Why?").await.unwrap_err();
    assert_eq!(over.to_string(), "the run of unit a is cancelled: nothing is done in it any more");
}
