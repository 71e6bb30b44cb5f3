//! Workers whose clocks disagree by hours: whatever is compared with a time is compared by the database.

use std::path::PathBuf;
use std::sync::Arc;

use crate::Context;
use crate::case::Case;
use crate::dag::Shape;
use crate::process::{Disaster, Process, command, keep_working};
use crate::tally::Tally;
use crate::worker::Settings;

const SHAPE: Shape = Shape { seed: 2, units: 40, work_ms_max: 20 };
/// By how many hours the clocks of two of three workers are off.
const OFF_HOURS: [i64; 2] = [5, -7];

/// One is ahead, one behind, and a third one is right and dies in the middle.
pub async fn that_are_hours_off(context: Arc<Context>) -> Tally {
    let case = Case::new(context.cluster().await, SHAPE).await;
    let mut off = Vec::new();
    for (number, clock_off_hours) in OFF_HOURS.into_iter().enumerate() {
        let settings = Settings { clock_off_hours, ..case.settings_of(number) };
        off.push(start(&settings));
    }
    let right = case.settings_of(OFF_HOURS.len());
    let working = async {
        let kills = keep_working(&right, vec![Disaster::At("unit.after_effect", 3), Disaster::At("settle.after_commit", 2)]).await;
        for process in &mut off {
            process.succeed().await;
        }
        kills
    };
    let kills = case.watched(working).await;
    let tally = Tally { kills, ..case.check().await };
    case.compare_with_undisturbed().await;
    tally
}

/// Starts a worker under a library that answers for the machine's clock.
fn start(settings: &Settings) -> Process {
    let mut command = command(settings, "");
    command.env("LD_PRELOAD", library()).env("FAKETIME", format!("{:+}h", settings.clock_off_hours));
    // Waiting is done by the other clock, by which nobody tells the time.
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
    Process::start(settings, command)
}

fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().flatten().map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    let mut found = folders.filter(|library| library.is_file());
    found.next().expect("libfaketimeMT.so.1 is missing below /usr/lib: install Debian's package faketime, as scripts/test does")
}
