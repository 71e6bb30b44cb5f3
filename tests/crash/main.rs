//! The crash campaign: real worker processes around the real engine, killed at named places and at any moment, on a server that is
//! killed too; and what must hold afterwards.
//!
//! `cargo test --features failpoints --test crash -- [--seeds 40] [--seed N] [--units 2000] [PART OF A NAME …]`. The output is that of other tests.
#![expect(clippy::unwrap_used, reason = "tests")]

mod campaign;
mod case;
mod clocks;
mod cluster;
mod dag;
mod delivery;
mod effects;
#[expect(dead_code, reason = "the integration tests use the rest")]
#[path = "../it/installation.rs"]
mod installation;
mod names;
mod outages;
mod pool;
mod process;
#[path = "../it/server.rs"]
mod server;
mod sink;
mod stopped;
mod tally;
mod worker;

use std::ops::Range;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::OnceCell;

use cluster::Cluster;
use tally::Tally;

/// Seeds of the campaign, and units of the run on a server that crashes, when nothing is said.
const SEEDS: u64 = 40;
const UNITS: usize = 2_000;

/// What all tests share.
pub struct Context {
    /// Seeds of the campaign.
    pub seeds: Range<u64>,
    /// Units of the run on a server that crashes.
    pub units: usize,
    cluster: OnceCell<Cluster>,
}

impl Context {
    /// The server of those who do not break it.
    pub async fn cluster(&self) -> &Cluster {
        self.cluster.get_or_init(|| Box::pin(Cluster::start())).await
    }
}

type Test = fn(Arc<Context>) -> Pin<Box<dyn Future<Output = Tally>>>;

macro_rules! tests {
    ($($module:ident::$name:ident),* $(,)?) => {
        &[$((concat!(stringify!($module), "::", stringify!($name)), (|context| Box::pin($module::$name(context))) as Test)),*]
    };
}

const TESTS: &[(&str, Test)] = tests![
    campaign::seeds,
    clocks::that_are_hours_off,
    delivery::killed_at_every_place,
    delivery::onto_a_full_disk,
    names::that_two_workers_share,
    outages::crashes_every_few_seconds,
    outages::that_pay_for_nothing_twice,
    pool::smaller_than_what_works_at_once,
    stopped::inside_a_transaction,
    stopped::past_its_lease,
];

/// The one with the seeds.
const CAMPAIGN: &str = "campaign::seeds";

/// What was asked for.
struct Arguments {
    seeds: Range<u64>,
    units: usize,
    parts: Vec<String>,
    list: bool,
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("--worker") {
        return work();
    }
    let arguments = match arguments(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("error: {wrong}\n  hint: -- [--seeds N] [--seed N] [--units N] [--list] [PART OF A NAME …]");
            return ExitCode::from(2);
        }
    };
    let chosen = |name: &str| arguments.parts.is_empty() || arguments.parts.iter().any(|part| name.contains(part.as_str()));
    let chosen: Vec<_> = TESTS.iter().filter(|(name, _)| chosen(name)).collect();
    if arguments.list {
        for (name, _) in &chosen {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let context = Arc::new(Context { seeds: arguments.seeds, units: arguments.units, cluster: OnceCell::new() });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test(context, &chosen))
}

/// The campaign beside the others, which are one after the other; and a summary of what they saw.
async fn test(context: Arc<Context>, chosen: &[&'static (&'static str, Test)]) -> ExitCode {
    println!("\nrunning {} tests", chosen.len());
    let started = Instant::now();
    let (campaign, others): (Vec<_>, Vec<_>) = chosen.iter().partition(|(name, _)| *name == CAMPAIGN);
    let (campaign, others) = tokio::join!(lane(&context, campaign), lane(&context, others));
    let failed = [campaign.0, others.0].concat();
    let mut tally = campaign.1;
    tally += others.1;
    println!("\nkills by place: {}", tally.kills.iter().map(|(place, count)| format!("{place} {count}")).collect::<Vec<_>>().join(", "));
    println!("{tally}");
    let (verdict, code) = if failed.is_empty() { ("ok", ExitCode::SUCCESS) } else { ("FAILED", ExitCode::from(101)) };
    if !failed.is_empty() {
        println!("\nfailures:\n    {}\n", failed.join("\n    "));
    }
    let (passed, filtered_out) = (chosen.len() - failed.len(), TESTS.len() - chosen.len());
    println!(
        "\ntest result: {verdict}. {passed} passed; {} failed; 0 ignored; 0 measured; {filtered_out} filtered out; finished in {:.2}s\n",
        failed.len(),
        started.elapsed().as_secs_f64()
    );
    code
}

/// Runs tests one after the other; returns the names of those that failed, and what the others saw.
async fn lane(context: &Arc<Context>, tests: Vec<&(&'static str, Test)>) -> (Vec<&'static str>, Tally) {
    let (mut failed, mut tally) = (Vec::new(), Tally::default());
    for (name, test) in tests {
        let began = Instant::now();
        if let Ok(came_to) = tokio::task::spawn_local(test(Arc::clone(context))).await {
            println!("  {came_to}; {:.1} s\ntest {name} ... ok", began.elapsed().as_secs_f64());
            tally += came_to;
        } else {
            println!("test {name} ... FAILED");
            failed.push(*name);
        }
    }
    (failed, tally)
}

fn arguments(given: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments { seeds: 0..SEEDS, units: UNITS, parts: Vec::new(), list: false };
    let mut given = given.peekable();
    while let Some(word) = given.next() {
        let mut number = || given.next().and_then(|number| number.parse::<u64>().ok()).ok_or(format!("{word} needs a number"));
        match word.as_str() {
            "--seeds" => arguments.seeds = 0..number()?,
            "--seed" => {
                let seed = number()?;
                arguments.seeds = seed..seed + 1;
                arguments.parts.push(CAMPAIGN.to_owned());
            }
            "--units" => arguments.units = usize::try_from(number()?).map_err(|error| error.to_string())?,
            "--list" => arguments.list = true,
            "--nocapture" => {}
            "--test-threads" => drop(number()?),
            word if word.starts_with('-') => return Err(format!("{word} is unknown")),
            part => arguments.parts.push(part.to_owned()),
        }
    }
    Ok(arguments)
}

fn work() -> ExitCode {
    let settings = serde_json::from_str(&std::env::var(worker::SETTINGS).unwrap()).unwrap();
    match tokio::runtime::Runtime::new().unwrap().block_on(worker::work(settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:?}");
            ExitCode::FAILURE
        }
    }
}
