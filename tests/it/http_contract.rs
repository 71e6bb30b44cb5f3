//! The interface against its own description: whatever the document allows is answered as it says, whatever it does not is refused.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::contract::{fuzzer, run_fuzzer};
use crate::http_serving::Serving;
use crate::installation::NOTES;

/// The stream of events has no end, which the fuzzer would wait for; `http_events` tests it.
const ENDLESS: &str = "followRun";

#[tokio::test(flavor = "multi_thread")]
async fn the_interface_keeps_its_contract() {
    let Some(fuzzer) = fuzzer() else { return };
    let serving = Serving::fresh().await;
    // Something to look at: a run with its plan, units, report and patterns.
    let submitted = serving.submit("contract", NOTES).await;
    serving.ended(submitted["run"]["id"].as_str().unwrap()).await;
    let document = serving.call("GET /api/openapi.json", &[]).send().await.expect(200);
    let (operations, linked) = (operations(&document), linked(&document));
    assert!(linked.len() >= 18, "{linked:?}");
    assert!(linked.is_subset(&operations), "links lead to operations that there are");

    let seeds = std::env::var("SPECWAVE_FUZZ_SEEDS").unwrap_or_else(|_| "7".to_owned());
    let examples = std::env::var("SPECWAVE_FUZZ_EXAMPLES").unwrap_or_else(|_| "25".to_owned());
    for seed in seeds.split(',') {
        let more = [
            "--phases",
            "examples,coverage,fuzzing,stateful",
            "--max-examples",
            &examples,
            "--seed",
            seed,
            "--exclude-operation-id",
            ENDLESS,
        ];
        let more = more.map(str::to_owned);
        let report = run_fuzzer(&fuzzer, "interface.toml", &format!("{}/api/openapi.json", serving.url), &serving.url, &more).await;
        let said: Vec<String> = serving.said().lines().filter(|line| !line.contains("INFO")).map(str::to_owned).collect();
        assert_eq!(report.failures, [], "seed {seed}:\n{}\n{}", report.text, said.join("\n"));
        // Beside the stream it leaves out the document that it reads.
        assert_eq!(report.tested, operations.len() as u64 - 2);
    }
}

/// The ids of every operation.
fn operations(document: &Value) -> BTreeSet<&str> {
    each(document).map(|operation| operation["operationId"].as_str().unwrap()).collect()
}

/// The ids of those that an answer leads to.
fn linked(document: &Value) -> BTreeSet<&str> {
    let answers = each(document).flat_map(|operation| operation["responses"].as_object().unwrap().values());
    let links = answers.filter_map(|answer| answer["links"].as_object()).flat_map(serde_json::Map::values);
    links.map(|link| link["operationId"].as_str().unwrap()).collect()
}

fn each(document: &Value) -> impl Iterator<Item = &Value> {
    document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values())
}
