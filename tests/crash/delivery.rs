//! The whole program: killed at every place that a run comes to, one after the other, and a disk without room.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

use crate::Context;
use crate::installation::{Ended, Installation, NOTES, Running, file, fresh_name};
use crate::tally::Tally;

/// Where the same command dies, one after the other. What is before the delivery is done once for all of them.
const DEATHS: [&str; 7] = [
    "claim.after_commit=1",
    "unit.working=2",
    "unit.after_effect=3",
    "advance.inside=2",
    "settle.after_commit=4",
    "deploy.between_renames=3",
    "deploy.between_renames=9",
];
/// A file system with room for the lock and some files of the delivery, and one with room for all.
const ROOM_SCARCE: &str = "48k";
const ROOM: &str = "16m";

/// The same command, again and again, comes to what an undisturbed one comes to: the tree that is delivered is the same, byte for byte,
/// and a file that is not ours stays.
pub async fn killed_at_every_place(_: Arc<Context>) -> Tally {
    tokio::task::spawn_blocking(die_and_deliver).await.unwrap()
}

fn die_and_deliver() -> Tally {
    let (installation, scratch) = (Installation::shared(), TempDir::new().unwrap());
    let (spec, out) = (file(scratch.path(), "notes.md", NOTES), scratch.path().join("out"));
    // Not a new directory: the delivery is one rename for each file.
    std::fs::create_dir(&out).unwrap();
    file(&out, "theirs.txt", "not ours");
    let name = fresh_name("killed");
    let run = |armed: &str| {
        let mut command = installation.command(&arguments(&spec, &out, &name));
        command.env("SPECWAVE_FAILPOINTS", armed);
        Running::start(command).end()
    };
    let mut tally = Tally::default();
    let mut begun = 0;
    for armed in DEATHS {
        let ended = run(armed);
        begun += units_begun(&ended);
        assert_eq!(ended.code, None, "it did not die at {armed}\n{}", ended.said);
        let point = armed.split_once('=').unwrap().0;
        *tally.kills.entry(point.to_owned()).or_default() += 1;
    }
    let ended = run("");
    let report = ended.expect(0, "succeeded");
    let units = report["units"].as_array().unwrap();
    assert!(units.iter().all(|unit| unit["state"] == "succeeded" || unit["state"] == "cached"), "{units:#?}");
    (tally.units, tally.re_executions) = (units.len(), begun + units_begun(&ended) - units.len());
    assert_eq!(std::fs::read_to_string(out.join("theirs.txt")).unwrap(), "not ours");
    let elsewhere = scratch.path().join("elsewhere");
    let undisturbed = installation.run(&spec, &elsewhere, &fresh_name("undisturbed")).end();
    assert_eq!(report["tree_hash"], undisturbed.expect(0, "succeeded")["tree_hash"]);
    tally
}

fn units_begun(ended: &Ended) -> usize {
    ended.events.iter().filter(|event| event["event"] == "unit" && event["state"] == "running").count()
}

/// The run fails with what is wrong and what to do, leaves the directory as it was, and the same command delivers when there is room.
pub async fn onto_a_full_disk(_: Arc<Context>) -> Tally {
    tokio::task::spawn_blocking(fill_and_deliver).await.unwrap()
}

fn fill_and_deliver() -> Tally {
    let (installation, scratch) = (Installation::shared(), TempDir::new().unwrap());
    let (spec, disk) = (file(scratch.path(), "notes.md", NOTES), scratch.path().join("disk"));
    std::fs::create_dir(&disk).unwrap();
    let (out, name) = (disk.join("out"), fresh_name("full"));
    let (first, listing) = (scratch.path().join("first"), scratch.path().join("listing"));
    // Both calls within one mount namespace of their own, which ends with them.
    let script = "mount -t tmpfs -o size=$1,mode=755 tmpfs $2 && shift 2 || exit 99; \
                  first=$1 listing=$2 disk=$3 room=$4; shift 4; \
                  \"$@\" > $first.out 2> $first.err; echo $? > $first; find $disk -type f > $listing; \
                  mount -o remount,size=$room $disk || exit 99; exec \"$@\"";
    let call = installation.command(&arguments(&spec, &out, &name));
    let mut command = Command::new("unshare");
    let flags: &[&str] = if rustix::process::geteuid().is_root() { &["-m"] } else { &["-Urm"] };
    command.args(flags).args(["sh", "-c", script, "sh", ROOM_SCARCE]).arg(&disk);
    command.args([&first, &listing, &disk]).arg(ROOM).arg(call.get_program()).args(call.get_args());
    for (name, value) in call.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let ended = Running::start(command).end();
    assert_ne!(ended.code, Some(99), "no file system could be mounted: {}", ended.said);
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let (code, said) = (read(&first), read(&first.with_extension("err")));
    assert!(said.contains("No space left on device") && said.contains("error: ") && said.contains("hint: "), "code {code}\n{said}");
    assert_ne!(code.trim(), "0");
    assert_eq!(read(&listing), "", "a delivery that found no room leaves nothing");
    succeeded_again(&ended)
}

/// The second call went on with the run and has delivered it.
fn succeeded_again(ended: &Ended) -> Tally {
    let report = ended.expect(0, "succeeded");
    assert!(ended.how().contains("resumed"), "{}", ended.how());
    Tally { units: report["units"].as_array().unwrap().len(), ..Tally::default() }
}

fn arguments<'a>(spec: &'a Path, out: &'a Path, name: &'a str) -> [&'a str; 7] {
    ["run", spec.to_str().unwrap(), "--out", out.to_str().unwrap(), "--name", name, "--json"]
}
