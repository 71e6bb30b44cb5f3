//! What every benchmark here does the same way: warm up, repeat, sort, say p50 and p95, name the machine and its load, and write
//! the table into `benches/README.md` between the markers of its section. Nobody edits those tables by hand.

use std::fmt::Write as _;
use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

/// One line of a table.
#[derive(Debug, Clone)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// How often.
    pub count: usize,
    /// The median; none when nothing came to its end.
    pub p50: Option<Duration>,
    /// 95 of 100 were faster.
    pub p95: Option<Duration>,
    /// What design asks for, or how it compares; empty where nothing is asked.
    pub remark: String,
}

/// The lines of one benchmark.
#[derive(Debug)]
pub struct Table {
    section: &'static str,
    rows: Vec<Row>,
    notes: Vec<String>,
    load_before: String,
}

impl Table {
    /// An empty table for the section `<!-- NAME -->` of the README.
    pub fn new(section: &'static str) -> Self {
        Self { section, rows: Vec::new(), notes: Vec::new(), load_before: load() }
    }

    /// Calls `work` three times unmeasured, then `count` times.
    #[allow(dead_code, reason = "not every benchmark repeats one thing")]
    pub async fn measure<F: Future>(
        &mut self,
        what: impl Into<String>,
        count: usize,
        remark: impl Into<String>,
        mut work: impl FnMut(usize) -> F,
    ) {
        for round in 0..3 {
            work(round).await;
        }
        let mut times = Vec::with_capacity(count);
        for round in 0..count {
            let started = Instant::now();
            work(round).await;
            times.push(started.elapsed());
        }
        self.add(what, times, remark);
    }

    /// Adds times that were taken elsewhere; without any, the remark says why.
    pub fn add(&mut self, what: impl Into<String>, mut times: Vec<Duration>, remark: impl Into<String>) {
        times.sort_unstable();
        let at = |percent: usize| times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied();
        let row = Row { what: what.into(), count: times.len(), p50: at(50), p95: at(95), remark: remark.into() };
        eprintln!("{:<60} n={:<5} p50 {:>9} ms  p95 {:>9} ms  {}", row.what, row.count, millis(row.p50), millis(row.p95), row.remark);
        self.rows.push(row);
    }

    /// A line under the table.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Writes the section of the README.
    pub fn write(self) {
        let mut text = format!("\nMeasured {} on {}; load {} before, {} after.\n\n", today(), machine(), self.load_before, load());
        text.push_str("| what | n | p50 ms | p95 ms | |\n| --- | ---: | ---: | ---: | --- |\n");
        for row in &self.rows {
            let (p50, p95) = (millis(row.p50), millis(row.p95));
            writeln!(text, "| {} | {} | {p50} | {p95} | {} |", row.what, row.count, row.remark).expect("a String takes every text");
        }
        for note in &self.notes {
            writeln!(text, "\n{note}").expect("a String takes every text");
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/README.md");
        let readme = std::fs::read_to_string(&path).expect("benches/README.md can be read");
        let (begin, end) = (format!("<!-- {} -->", self.section), format!("<!-- /{} -->", self.section));
        let (before, rest) = readme.split_once(&begin).expect("the section's opening marker is in the README");
        let (_, after) = rest.split_once(&end).expect("the section's closing marker is in the README");
        std::fs::write(&path, format!("{before}{begin}\n{text}\n{end}{after}")).expect("benches/README.md can be written");
    }
}

fn millis(time: Option<Duration>) -> String {
    time.map_or_else(|| "–".to_owned(), |time| format!("{:.3}", time.as_secs_f64() * 1_000.0))
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':')).map_or("unknown", |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok()).unwrap_or(0);
    let profile = if cfg!(debug_assertions) { "debug" } else { "optimised" };
    format!("{cores} cores ({model}), {} GiB, {profile} build", kib / 1024 / 1024)
}

fn today() -> String {
    time::OffsetDateTime::now_utc().date().to_string()
}
