//! The whole at the end of a wave: a branch that has become red is traced to the unit that made it so. The agents are the scripts of `trees`.

use std::process::Command;

use serde_json::Value;

use crate::installation::{Ended, Running, file, fresh_name};
use crate::trees::{Stage, out, units};

/// Five steps of one wave, and one that depends on the third.
const SIX: &str = "# Tools\n\nThe project must hold six tools.\n\n# Logical Dependency Chain\n\n1. First tool.\n2. Second tool.\n3. Third tool.\n\
                   4. Fourth tool.\n5. Fifth tool.\n6. Sixth tool (depends on 3).\n";

/// The whole is red while a word stands in it.
const SETTINGS: &str = "[run]\nwave_check = [\"/bin/sh\", \"-c\", \"if grep -rn BROKEN src; then exit 1; fi\"]\n";

/// The third one breaks the whole, until it is told so.
const MENDED: &str = "write\n\
    case $n:$prompt in\n\
    3:*'failed on the whole project'*) ;;\n\
    3:*) echo '# BROKEN' >> src/step_3.py ;;\n\
    esac\n\
    done_with Done\n";

fn stage(script: &str) -> Stage {
    let stage = Stage::new(script, "");
    file(stage.folder.path(), "specwave.toml", SETTINGS);
    stage
}

fn end(command: Command) -> Ended {
    Running::start(command).end()
}

/// The rounds of the checks of waves, in a phrase each.
fn rounds(report: &Value) -> Vec<String> {
    let phases = report["phases"].as_array().unwrap().iter().filter(|phase| phase["phase"] == "waves");
    phases.map(|phase| phase["summary"].as_str().unwrap().to_owned()).collect()
}

/// How often each unit's work was merged, by the number at the end of its key.
fn merged(stage: &Stage, report: &Value) -> Vec<(String, usize)> {
    let repository = stage.repository(report["run"].as_str().unwrap());
    let format = "--format=%(trailers:key=Specwave-Unit,valueonly,separator=%x2c)";
    let log = Command::new("git").arg("--git-dir").arg(repository).args(["log", format]).output().unwrap();
    let mut count = std::collections::BTreeMap::new();
    for key in String::from_utf8(log.stdout).unwrap().lines().filter(|line| !line.is_empty()) {
        *count.entry(key.rsplit('/').next().unwrap().to_owned()).or_default() += 1;
    }
    count.into_iter().collect()
}

fn all_succeeded(ended: &Ended) {
    let states: Vec<String> = units(ended).into_values().map(|(state, _)| state).collect();
    assert_eq!(states, vec!["succeeded"; states.len()], "{}", ended.said);
}

#[test]
fn a_red_wave_is_traced_to_the_unit_that_made_it_so_which_is_done_again() {
    let stage = stage(MENDED);
    let ended = end(stage.command(SIX, &fresh_name("red"), &["--strict-waves"]));
    let report = ended.expect(3, "partial");
    all_succeeded(&ended);
    let rounds = rounds(report);
    assert!(rounds[0].starts_with("wave 1: wave check failed; ") && rounds[0].contains("/3 is done again"), "{rounds:?}");
    assert!(rounds.last().unwrap().contains("green"), "{rounds:?}");
    let merged = merged(&stage, report);
    let often: Vec<&str> = merged.iter().filter(|(_, times)| *times > 1).map(|(unit, _)| unit.as_str()).collect();
    assert!(often.contains(&"3") && often.iter().all(|unit| ["3", "6"].contains(unit)), "the others are left alone: {merged:?}");
    assert!(!out(&stage, "src/step_3.py").contains("BROKEN"));
    let run = report["run"].as_str().unwrap();
    let third = report["units"].as_array().unwrap().iter().find_map(|unit| unit["key"].as_str().filter(|key| key.ends_with("/3"))).unwrap();
    let why = stage.say(&["why", third, "--run", run]);
    assert!(why.contains("reopened") && why.contains("wave check failed on the whole project"), "{why}");
    let checks = report["checks"].as_array().unwrap();
    assert!(checks.iter().any(|check| check["name"] == "wave check" && check["verdict"] == "passed"), "{checks:?}");
}

#[test]
fn the_same_change_twice_fails_the_unit_and_nothing_is_delivered() {
    let stage = stage("write; [ \"$n\" != 3 ] || echo '# BROKEN' >> src/step_3.py; done_with Done\n");
    let ended = end(stage.command(SIX, &fresh_name("twice"), &[]));
    ended.expect(3, "failed");
    let units = units(&ended);
    assert_eq!(units["3"].0, "failed", "{}", ended.said);
    assert!(units["3"].1.contains("twice with the same change"), "{:?}", units["3"]);
    assert_eq!((units["6"].0.as_str(), units["1"].0.as_str()), ("blocked", "succeeded"));
    assert!(!stage.folder.path().join("out/src").exists());
}

#[test]
fn a_driver_that_dies_while_it_sends_a_unit_back_has_it_sent_back_all_the_same() {
    let stage = stage(MENDED);
    let name = fresh_name("dies");
    let mut command = stage.command(SIX, &name, &[]);
    command.env("SPECWAVE_FAILPOINTS", "wave.after_reopen=1");
    let killed = end(command);
    assert_eq!(killed.code, None, "it was to be killed: {}", killed.said);
    let ended = end(stage.command(SIX, &name, &[]));
    let report = ended.expect(3, "partial");
    all_succeeded(&ended);
    assert!(!out(&stage, "src/step_3.py").contains("BROKEN"));
    assert!(rounds(report).last().unwrap().contains("green"), "{:?}", rounds(report));
}

#[test]
fn where_nobody_works_in_a_tree_nothing_is_checked_at_the_end_of_a_wave() {
    let stage = stage("done_with Done\n");
    let mut command = stage.installation.command(&["run", "spec.md", "--json", "--name", &fresh_name("none")]);
    command.current_dir(stage.folder.path());
    file(stage.folder.path(), "spec.md", SIX);
    let ended = end(command);
    assert!(rounds(ended.expect(3, "partial")).is_empty());
    assert!(!stage.installation.data_dir().join("repositories").exists());
}
