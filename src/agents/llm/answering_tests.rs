//! What a model may answer, and what becomes of it, over what providers send.

use serde_json::json;

use super::bench_tests::{Bench, Counter, GOOD, KEY, LONG, claude, prices, purposes, said};
use super::prompt::Prompts;
use super::prompt_tests::task;
use super::provider::{Provider, ProviderKind, ProviderSettings};
use super::standin::{ModelServer, anthropic, openai, openai_refusal};
use super::*;
use crate::agents::Usage;

#[tokio::test]
async fn a_good_answer_of_anthropics() {
    let bench = Bench::new(ProviderKind::Anthropic, vec![claude(GOOD)]);
    let record = bench.good().await;
    let usage = Usage { input: 1_000, output: 200, ..Usage::default() };
    assert_eq!((record.usage(), record.cost_micros(), record.unreported()), (usage, Some(6_000), 0));
    let answered =
        Answered { stop: Stop::End, usage: Some(usage), id: Some("msg_01".to_owned()), model: Some("claude-test-1-20260101".to_owned()) };
    assert_eq!(record.calls[0].result, Ok(answered));
    let kinds: Vec<&str> = record.transcript.entries.iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, ["system", "user", "model"]);
    let asked = &bench.server.asked()[0];
    assert_eq!(
        (asked.path.as_str(), asked.headers["x-api-key"].as_str(), asked.headers["anthropic-version"].as_str()),
        ("/v1/messages", KEY, "2023-06-01")
    );
    let body = &asked.body;
    assert_eq!(
        (&body["model"], &body["max_tokens"], &body["temperature"], &body["stream"]),
        (&json!("claude-test-1"), &json!(4000), &json!(0.2), &json!(true))
    );
    assert!(body["system"].to_string().contains("data for reference"), "{body}");
    assert!(said(body, 0).contains("router/books"), "{body}");
}

#[tokio::test]
async fn a_good_answer_of_openais_and_a_name_that_ends_like_an_effort() {
    let bench = Bench::new(ProviderKind::OpenAiCompatible, vec![openai(GOOD, "stop", Some((1_000, 900, 200)))]);
    let record = bench.good().await;
    assert_eq!(record.usage(), Usage { input: 1_000, cached_input: 900, cache_write: 0, output: 200 });
    assert_eq!(record.cost_micros(), Some(3_570));
    let asked = &bench.server.asked()[0];
    assert_eq!((asked.path.as_str(), asked.headers["authorization"].as_str()), ("/v1/chat/completions", format!("Bearer {KEY}").as_str()));
    let body = &asked.body;
    assert_eq!((&body["model"], &body["max_tokens"], &body["temperature"]), (&json!("model-high"), &json!(4000), &json!(0.2)));
    assert_eq!((&body["stream_options"]["include_usage"], body.get("reasoning_effort")), (&json!(true), None));
}

#[tokio::test]
async fn a_server_without_a_key_gets_none_and_a_usage_that_is_missing_stays_unknown() {
    let server = ModelServer::start(vec![openai(GOOD, "stop", None)]);
    let settings = ProviderSettings { kind: ProviderKind::Ollama, base_url: Some(server.base_url()), key: None, stall: LONG };
    let options = LlmOptions { temperature: None, ..LlmOptions::new("unpriced") };
    let agent = LlmAgent::new(Provider::new(settings).unwrap(), Prompts::load(None).unwrap(), prices(), options).unwrap();
    let meter = Counter::new(9);
    let outcome = agent.perform(&LlmTask { files: vec!["app/".to_owned()], ..task() }, &meter).await.unwrap();
    let record = outcome.record;
    assert_eq!((record.usage(), record.unreported(), record.cost_micros()), (Usage::default(), 1, None));
    let call = &record.calls[0];
    assert_eq!(call.spent, call.bound.used_up());
    assert_eq!((call.bound.cost_micros, call.spent.measured), (None, false));
    let asked = &server.asked()[0];
    assert_eq!((asked.headers.get("authorization"), asked.body.get("temperature")), (None, None));
}

#[tokio::test]
async fn chatter_around_a_good_answer_does_no_harm() {
    let text = format!("Of course.\n```\n{GOOD}```\nAnything else?");
    let bench = Bench::new(ProviderKind::Anthropic, vec![claude(&text)]);
    assert_eq!(purposes(&bench.good().await), ["unit"]);
}

#[tokio::test]
async fn a_malformed_answer_is_corrected_once_and_told_what_is_wrong() {
    let wrong = GOOD.replace("end app/books.py", "end app/book.py");
    let bench = Bench::new(ProviderKind::Anthropic, vec![claude(&wrong), claude(GOOD)]);
    let record = bench.good().await;
    assert_eq!(purposes(&record), ["unit", "correction"]);
    assert_eq!(record.usage().input, 2_000);
    let body = &bench.server.asked()[1].body;
    assert_eq!(said(body, 1), wrong);
    assert!(said(body, 2).contains("line 3: the end line names \"app/book.py\", and the open file is app/books.py"), "{body}");
}

#[tokio::test]
async fn a_question_ends_the_conversation_without_what_is_secret_in_it() {
    let text = format!("Nothing says it.\n%%%specwave ask Which currency, and is {KEY} yours?\n");
    let bench = Bench::new(ProviderKind::Anthropic, vec![claude(&text)]);
    let error = bench.bad().await;
    assert_eq!((error.class(), error.record.calls.len()), (crate::engine::ErrorClass::NeedsInput, 1));
    assert!(matches!(&error.cause, Cause::Asks(question) if question.starts_with("Which currency, and is ") && !question.contains(KEY)));
}

#[tokio::test]
async fn a_question_beside_files_or_cut_off_is_corrected() {
    let both = format!("%%%specwave ask Which currency?\n{GOOD}");
    let bench = Bench::new(ProviderKind::Anthropic, vec![claude(&both), claude(GOOD)]);
    assert_eq!(purposes(&bench.good().await), ["unit", "correction"]);
    assert!(said(&bench.server.asked()[1].body, 2).contains("write either files or one question and nothing else"));
    let bench = Bench::new(ProviderKind::Anthropic, vec![anthropic("%%%specwave ask Which cur", "max_tokens", (1, 1)), claude(GOOD)]);
    assert_eq!(purposes(&bench.good().await), ["unit", "correction"]);
    assert!(said(&bench.server.asked()[1].body, 2).contains("the question was cut off"));
}

#[tokio::test]
async fn an_answer_that_is_wrong_twice_is_an_error_and_paid_for() {
    let other = GOOD.replace("app/books.py", "app/other.py");
    let bench = Bench::new(ProviderKind::Anthropic, vec![claude("Which framework?"), claude(&other)]);
    let error = bench.bad().await;
    assert_eq!(error.to_string(), "the answer cannot be read: these files were not asked for: app/other.py");
    assert_eq!((error.record.cost_micros(), error.class()), (Some(12_000), crate::engine::ErrorClass::Permanent));
}

#[tokio::test]
async fn refusals_are_not_argued_with() {
    let check = async |kind, reply, expected: &str| {
        let bench = Bench::new(kind, vec![reply]);
        let error = bench.bad().await;
        assert_eq!((error.to_string().as_str(), error.record.calls.len()), (expected, 1));
    };
    check(ProviderKind::Anthropic, anthropic("I will not.", "refusal", (5, 5)), "the model refused: I will not.").await;
    check(ProviderKind::OpenAi, openai("", "content_filter", Some((5, 0, 0))), "the model refused: ").await;
    check(ProviderKind::OpenAi, openai_refusal("I cannot help."), "the model refused: I cannot help.").await;
}

#[tokio::test]
async fn an_answer_that_is_cut_off_goes_on() {
    let half = "%%%specwave file app/books.py\nname = \"naï";
    let first = "%%%specwave file app/books.py\nname = \"naïve\"\n%%%spec";
    let second = "%%%specwave resume app/books.py\nname = \"naïve\"\n%%%specwave end app/books.py\n%%%specwave done 1\n";
    let bench = Bench::new(ProviderKind::Anthropic, vec![anthropic(first, "max_tokens", (1_000, 4_000)), claude(second)]);
    assert_eq!(purposes(&bench.good().await), ["unit", "continuation"]);
    let body = &bench.server.asked()[1].body;
    assert_eq!(said(body, 1), "%%%specwave file app/books.py\nname = \"naïve\"\n");
    assert!(said(body, 2).contains("%%%specwave resume app/books.py\nname = \"naïve\"\n"), "{body}");
    let whole = "%%%specwave resume app/books.py\nname = \"naïve\"\n%%%specwave end app/books.py\n%%%specwave done 1";
    let bench = Bench::new(ProviderKind::OpenAi, vec![openai(half, "length", Some((9, 0, 9))), openai(whole, "stop", Some((9, 0, 9)))]);
    assert_eq!(purposes(&bench.good().await), ["unit", "continuation"]);
}

#[tokio::test]
async fn an_answer_that_goes_on_for_ever_fails() {
    let first = "%%%specwave file app/books.py\na\nb\n";
    let next = "%%%specwave resume app/books.py\na\nb\n";
    let replies = [first, next, next].map(|text| anthropic(text, "max_tokens", (1, 1))).to_vec();
    let bench = Bench::new(ProviderKind::Anthropic, replies);
    let error = bench.bad().await;
    assert!(matches!(error.cause, Cause::Truncated(3)), "{error:?}");
    assert_eq!(error.record.calls.len(), 3);
}

#[tokio::test]
async fn a_seam_that_does_not_fit_is_corrected_not_guessed() {
    let first = "%%%specwave file app/books.py\na\nb\nc\n";
    let next = "%%%specwave resume app/books.py\nb\nc\n%%%specwave end app/books.py\n%%%specwave done 1\n";
    let bench = Bench::new(ProviderKind::Anthropic, vec![anthropic(first, "max_tokens", (1, 1)), claude(next), claude(GOOD)]);
    assert_eq!(purposes(&bench.good().await), ["unit", "continuation", "correction"]);
    assert!(said(&bench.server.asked()[2].body, 2).contains("after the resume line \"a\" must be repeated"));
}
