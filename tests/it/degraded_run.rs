//! A run whose graph, vectors and cache die half way: it ends as an undisturbed one does, says what it had to do without, and the stores
//! catch up once they are back.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::installation::{Ended, Installation, NOTES, Running, file, fresh_name};
use crate::proxy::{Mode, Proxy};
use crate::stack::Stack;
use crate::standin::StandIn;

/// So many runs may have a store that is late before it is taken for a fault.
const UNDISTURBED_MAX: usize = 3;

struct Degraded {
    installation: Installation,
    stack: Stack,
    _vectors: StandIn,
    proxy: Proxy,
    scratch: TempDir,
}

impl Degraded {
    fn new() -> Self {
        let (stack, vectors) = (Stack::up(), StandIn::start(None));
        let proxy = Proxy::start(&vectors.address());
        Self { installation: Installation::shared(), stack, _vectors: vectors, proxy, scratch: TempDir::new().unwrap() }
    }

    /// A command on the servers, the facts included; circuits are tried again at once.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.installation.command(arguments);
        command.envs(self.stack.environment()).env("QDRANT_URL", format!("http://{}", self.proxy.address()));
        command.env("SPECWAVE_BREAKER_OPEN_SECS", "1");
        command
    }

    fn run(&self, name: &str, out: &str) -> Running {
        // The last operation follows from nothing, so its unit waits, and whoever takes it up is told what the stores know.
        let document = format!("{NOTES}| GET | /notes/recommended | list recommended notes; search title | Note |\n");
        let (spec, out) = (file(self.scratch.path(), "notes.md", document), self.scratch.path().join(out));
        let arguments = ["run", spec.to_str().unwrap(), "--out", out.to_str().unwrap(), "--name", name, "--json", "--fresh"];
        Running::start(self.command(&arguments))
    }

    /// A run that had to do without nothing. Where the machine is so busy that a store is late, that one was disturbed, and there is another.
    fn undisturbed(&self) -> Ended {
        let run = |number: usize| self.run(&fresh_name("undisturbed"), &format!("undisturbed-{number}")).end();
        let mut runs = (0..UNDISTURBED_MAX).map(run);
        runs.find(|ended| away(ended.report()).is_empty()).expect("one of the runs had all of its stores in time")
    }

    /// The stores as `verify --json` finds them: how many differences each has.
    fn verify(&self) -> Vec<(String, usize)> {
        let output = self.command(&["verify", "--json"]).output().unwrap();
        let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        let row = |store: &Value| {
            assert!(store["items"].as_u64().unwrap() > 0, "{store:#}");
            (store["store"].as_str().unwrap().to_owned(), store["differences"].as_array().unwrap().len())
        };
        found.as_array().unwrap().iter().map(row).collect()
    }

    fn doctor(&self) -> Vec<(String, bool)> {
        let output = self.command(&["doctor", "--json"]).output().unwrap();
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let row = |line: &Value| (line["what"].as_str().unwrap().to_owned(), line["well"].as_bool().unwrap());
        found.as_array().unwrap().iter().map(row).filter(|(what, _)| ["graph", "vectors", "cache"].contains(&what.as_str())).collect()
    }
}

/// The stores that a report says were away for a time.
fn away(report: &Value) -> BTreeSet<&str> {
    let lines = report["degraded"].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
    lines.filter_map(|line| Some(line.strip_prefix("the ")?.split_once(" store was away from ")?.0)).collect()
}

fn all(well: bool) -> Vec<(String, bool)> {
    ["graph", "vectors", "cache"].map(|what| (what.to_owned(), well)).to_vec()
}

#[test]
fn a_run_whose_other_stores_die_half_way_ends_like_an_undisturbed_one() {
    let degraded = Degraded::new();
    let undisturbed = degraded.undisturbed();
    let expected = undisturbed.expect(3, "partial")["tree_hash"].clone();
    assert_eq!(degraded.doctor(), all(true));
    assert_eq!(degraded.verify(), [("graph".to_owned(), 0), ("vectors".to_owned(), 0)]);

    let mut run = degraded.run(&fresh_name("degraded"), "degraded");
    run.until_built(3);
    degraded.stack.kill("neo4j");
    degraded.stack.kill("redis");
    degraded.proxy.set(Mode::Refuse);
    let ended = run.end();
    let report = ended.expect(3, "partial");
    assert_eq!(report["tree_hash"], expected);
    assert_eq!(degraded.doctor(), all(false));
    assert_eq!(away(report), BTreeSet::from(["cache", "graph", "vectors"]), "{:#}", report["degraded"]);

    degraded.stack.start();
    degraded.proxy.set(Mode::Pass);
    assert_eq!(degraded.verify(), [("graph".to_owned(), 0), ("vectors".to_owned(), 0)]);
    assert_eq!(degraded.doctor(), all(true));
}
