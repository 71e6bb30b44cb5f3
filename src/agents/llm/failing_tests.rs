//! How requests fail, which are repeated, and that all of it is paid for and none of it tells the key.

use super::bench_tests::{Bench, Counter, Entry, GOOD, KEY, LONG, claude};
use super::provider::{Provider, ProviderKind, ProviderSettings};
use super::standin::{ModelServer, Reply, anthropic_error, anthropic_status, openai, openai_status};
use super::*;
use crate::agents::Spent;
use crate::config::Secret;

#[tokio::test]
async fn the_deadline_ends_an_answer_that_is_slow() {
    let change = |options| LlmOptions { deadline: Duration::from_millis(300), ..options };
    let bench = Bench::with(ProviderKind::Anthropic, vec![claude(GOOD).hang_after(5)], change, LONG);
    let error = bench.bad().await;
    assert_eq!(error.class(), crate::engine::ErrorClass::Timeout);
    assert_eq!((error.record.calls.len(), error.record.unreported(), error.record.cost_micros()), (1, 1, None));
}

#[tokio::test]
async fn a_stream_that_stalls_is_asked_for_again() {
    let stall = Duration::from_millis(200);
    for reply in [claude(GOOD).hang_after(0), claude(GOOD).hang_after(6)] {
        let bench = Bench::with(ProviderKind::Anthropic, vec![reply, claude(GOOD)], |options| options, stall);
        let record = bench.good().await;
        let error = record.calls[0].result.as_ref().unwrap_err();
        assert_eq!((error.fault, record.unreported()), (Fault::Stalled, 1));
    }
}

#[tokio::test]
async fn a_rate_limit_is_waited_out_as_the_server_says() {
    let limited = anthropic_status(429, "rate_limit_error", "slow down").header("retry-after-ms", "20");
    let bench = Bench::new(ProviderKind::Anthropic, vec![limited, claude(GOOD)]);
    let record = bench.good().await;
    let call = &record.calls[0];
    assert_eq!(call.wait, Some(Wait { duration: Duration::from_millis(20), asked: true }));
    assert_eq!(call.spent, Spent { tokens: 0, cost_micros: Some(0), measured: true });
    assert_eq!(call.result.as_ref().unwrap_err().message, "the provider answered 429: slow down");
    assert_eq!(record.cost_micros(), Some(6_000));
}

#[tokio::test]
async fn a_rate_limit_for_ever_or_beyond_the_deadline_is_told_with_its_hint() {
    let limited = || openai_status(429, "requests", "rate_limit_exceeded", "Rate limit reached").header("retry-after-ms", "1");
    let bench = Bench::new(ProviderKind::OpenAi, vec![limited(), limited(), limited()]);
    let error = bench.bad().await;
    assert_eq!((error.record.calls.len(), error.class()), (3, crate::engine::ErrorClass::Transient));
    let hour = openai_status(429, "requests", "rate_limit_exceeded", "Rate limit reached").header("retry-after", "3600");
    let bench = Bench::new(ProviderKind::OpenAi, vec![hour]);
    let error = bench.bad().await;
    assert_eq!((error.record.calls.len(), error.retry_after()), (1, Some(Duration::from_hours(1))));
}

#[tokio::test]
async fn what_may_go_away_is_tried_again() {
    let check = async |kind, reply, fault| {
        let good = if kind == ProviderKind::Anthropic { claude(GOOD) } else { openai(GOOD, "stop", Some((1, 0, 1))) };
        let bench = Bench::new(kind, vec![reply, good]);
        let record = bench.good().await;
        assert_eq!(record.calls[0].result.as_ref().unwrap_err().fault, fault, "{record:?}");
        assert!(record.calls[0].wait.is_some_and(|wait| !wait.asked));
    };
    check(ProviderKind::Anthropic, anthropic_status(500, "api_error", "Internal server error"), Fault::Unavailable).await;
    check(ProviderKind::Anthropic, anthropic_status(529, "overloaded_error", "Overloaded"), Fault::Unavailable).await;
    check(ProviderKind::Anthropic, anthropic_error("overloaded_error", "Overloaded"), Fault::Unavailable).await;
    check(ProviderKind::Anthropic, claude(GOOD).cut_after(0), Fault::Cut).await;
    check(ProviderKind::Anthropic, claude(GOOD).cut_after(6), Fault::Cut).await;
    check(ProviderKind::OpenAi, openai_status(503, "server_error", "", "down"), Fault::Unavailable).await;
    check(ProviderKind::OpenAi, openai(GOOD, "stop", None).cut_after(4), Fault::Cut).await;
    let ended = openai(GOOD, "stop", None).cut_after(3);
    check(ProviderKind::OpenAi, Reply::stream(ended.parts().to_vec()), Fault::Cut).await;
}

#[tokio::test]
async fn what_stays_wrong_is_not_tried_again_and_tells_no_key() {
    let check = async |kind, reply, fault, message: &str| {
        let bench = Bench::new(kind, vec![reply]);
        let error = bench.bad().await;
        let Cause::Call(call) = &error.cause else { panic!("{error:?}") };
        assert_eq!((call.fault, call.message.as_str(), error.record.calls.len()), (fault, message, 1));
        assert_eq!(error.class(), crate::engine::ErrorClass::Permanent);
    };
    let echo = format!("Incorrect API key provided: {KEY}.");
    let told = "the provider answered 401: Incorrect API key provided: [redacted].";
    check(ProviderKind::OpenAi, openai_status(401, "invalid_request_error", "invalid_api_key", &echo), Fault::Unauthorized, told).await;
    let quota = openai_status(429, "insufficient_quota", "insufficient_quota", "You exceeded your quota").header("retry-after", "1");
    check(ProviderKind::OpenAi, quota, Fault::Quota, "the provider answered 429: You exceeded your quota").await;
    let rejected = anthropic_status(400, "invalid_request_error", "max_tokens: too large");
    check(ProviderKind::Anthropic, rejected, Fault::Rejected, "the provider answered 400: max_tokens: too large").await;
    for status in [403, 404, 422] {
        let fault = if status == 403 { Fault::Unauthorized } else { Fault::Rejected };
        check(ProviderKind::Anthropic, anthropic_status(status, "x", "no"), fault, &format!("the provider answered {status}: no")).await;
    }
    check(ProviderKind::Anthropic, anthropic_error("invalid_request_error", "bad"), Fault::Rejected, "the provider broke off: bad").await;
    let stop = anthropic_status(500, "api_error", "no").header("x-should-retry", "false");
    check(ProviderKind::Anthropic, stop, Fault::Rejected, "the provider answered 500: no").await;
}

#[tokio::test]
async fn nobody_at_the_address_is_transient_and_free() {
    let mut bench = Bench::new(ProviderKind::OpenAi, Vec::new());
    let gone = ModelServer::start(Vec::new()).base_url();
    let key = Some(Secret::from(KEY.to_owned()));
    bench.agent.provider = Provider::new(ProviderSettings { kind: ProviderKind::OpenAi, base_url: Some(gone), key, stall: LONG }).unwrap();
    let error = bench.bad().await;
    let faults: Vec<Fault> = error.record.calls.iter().map(|call| call.result.as_ref().unwrap_err().fault).collect();
    assert_eq!((faults, error.record.cost_micros()), (vec![Fault::Unreachable; 3], Some(0)));
}

#[tokio::test]
async fn nothing_is_sent_that_the_budget_does_not_allow() {
    let mut bench = Bench::new(ProviderKind::Anthropic, vec![claude("no files"), claude(GOOD)]);
    bench.meter = Counter::new(1);
    let error = bench.bad().await;
    assert_eq!(error.to_string(), "the budget does not allow the call: the run's tokens are used up");
    assert_eq!((error.class(), bench.server.asked().len()), (crate::engine::ErrorClass::Budget, 1));
}

#[tokio::test]
async fn work_that_is_dropped_counts_in_full() {
    let bench = Bench::new(ProviderKind::Anthropic, vec![claude(GOOD).hang_after(6)]);
    let mut work = Box::pin(bench.agent.perform(&bench.task, &bench.meter));
    while bench.server.asked().is_empty() {
        assert!(tokio::time::timeout(Duration::from_millis(5), &mut work).await.is_err());
    }
    drop(work);
    let log = bench.meter.log();
    let [Entry::Reserved(bound), Entry::Abandoned(0, spent)] = log[..] else { panic!("{log:?}") };
    assert_eq!(spent, bound.used_up());
}

#[tokio::test]
async fn the_version_names_what_results_depend_on() {
    let bench = Bench::new(ProviderKind::Anthropic, Vec::new());
    let version = bench.agent.version();
    assert!(version.starts_with("anthropic/claude-test-1 temperature 0.2 output 4000x3 system@1:"), "{version}");
    let warmer = Bench::with(ProviderKind::Anthropic, Vec::new(), |options| LlmOptions { temperature: Some(0.7), ..options }, LONG);
    assert_ne!(version, warmer.agent.version());
}
