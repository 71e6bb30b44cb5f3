//! Agents that work in trees of their own: programs behind profiles, at work on what no generator builds. The programs are scripts that
//! print what Claude Code is documented to print; what is tested is what specwave does with what they leave behind.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::agentapi::AgentServer;
use crate::installation::{Ended, Installation, Running, STEPS, file, fresh_name};

/// Finds out which unit it is about, and writes a module as the standards want it when it is told to.
const HEAD: &str = r#"#!/bin/sh
prompt=$(cat)
key=$(printf '%s\n' "$prompt" | sed -n 's/.*to do your unit, `\([^`]*\)`.*/\1/p')
n=${key##*/}
write() {
    mkdir -p src
    printf '"""Step %s of the work."""\n\n\ndef step_%s() -> int:\n    """Say which step this is."""\n    return %s\n' "$n" "$n" "$n" > "src/step_$n.py"
}
say() { printf '{"type":"assistant","message":{"id":"m","content":[{"type":"text","text":"%s"}],"usage":{"input_tokens":%s,"output_tokens":5}}}\n' "$1" "$2"; }
done_with() { printf '{"type":"result","subtype":"success","is_error":false,"num_turns":2,"result":"%s","session_id":"s","total_cost_usd":0.25,"usage":{"input_tokens":100,"output_tokens":20}}\n' "$1"; }
"#;

/// Seven steps that do not depend on each other.
const SEVEN: &str = "# Tools\n\nThe project must hold seven tools.\n\n# Logical Dependency Chain\n\n1. First tool.\n2. Second tool.\n3. Third tool.\n\
                     4. Fourth tool.\n5. Fifth tool.\n6. Sixth tool.\n7. Seventh tool.\n";

/// An installation with one agent, `hands`, which runs a script.
pub struct Stage {
    pub installation: Installation,
    pub folder: TempDir,
}

impl Stage {
    pub fn new(script: &str, settings: &str) -> Self {
        let stage = Self { installation: Installation::own(), folder: TempDir::new().unwrap() };
        let program = stage.script(script);
        let profile = format!(
            "[[profile]]\nname = \"hands\"\nkind = \"command\"\n[profile.settings]\npreset = \"claude\"\nprogram = [\"{}\"]\n\
             readable = [\"{}\"]\n{settings}",
            program.display(),
            stage.folder.path().display()
        );
        stage.add(&profile);
        stage
    }

    /// An installation with one agent, `hands`, which a server stands behind.
    pub fn behind(server: &AgentServer) -> Self {
        let stage = Self { installation: Installation::own(), folder: TempDir::new().unwrap() };
        let settings = format!("base_url = \"{}\"\nsettle_secs = 1\n", server.url);
        stage.add(&format!("[[profile]]\nname = \"hands\"\nkind = \"agentapi\"\n[profile.settings]\n{settings}"));
        stage
    }

    fn add(&self, profile: &str) {
        let profile = file(self.folder.path(), "hands.toml", profile);
        let added = self.installation.call(&["agents", "add", profile.to_str().unwrap()]);
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    }

    fn script(&self, script: &str) -> PathBuf {
        let path = file(self.folder.path(), "hands", format!("{HEAD}{script}"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    pub fn command(&self, spec: &str, name: &str, more: &[&str]) -> Command {
        let out = self.folder.path().join("out");
        self.command_with(spec, name, &[&["--out", out.to_str().unwrap()], more].concat())
    }

    /// The same, with nothing said about where the result goes.
    pub fn command_with(&self, spec: &str, name: &str, more: &[&str]) -> Command {
        let spec = file(self.folder.path(), "spec.md", spec);
        let mut all = vec!["run", spec.to_str().unwrap(), "--name", name, "--json", "--agent", "hands"];
        all.extend(more);
        let mut command = self.installation.command(&all);
        command.current_dir(self.folder.path());
        command
    }

    fn run(&self, spec: &str) -> Ended {
        Running::start(self.command(spec, &fresh_name("trees"), &[])).end()
    }

    pub fn say(&self, arguments: &[&str]) -> String {
        let output = self.installation.call(arguments);
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    /// The repository of a run that has one of its own.
    pub fn repository(&self, run: &str) -> PathBuf {
        self.installation.data_dir().join("repositories").join(run).join("repository")
    }

    /// Subjects and trailers of what is on the run's branch, the oldest first.
    fn branch(&self, run: &str) -> Vec<String> {
        let repository = self.repository(run);
        let format = "--format=%(trailers:key=Specwave-Unit,valueonly,separator=%x2c)";
        let log = Command::new("git").arg("--git-dir").arg(repository).args(["log", "--reverse", format]).output().unwrap();
        assert!(log.status.success(), "{}", String::from_utf8_lossy(&log.stderr));
        String::from_utf8(log.stdout).unwrap().lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }
}

/// State and evidence of every unit, by the number at the end of its key.
pub fn units(ended: &Ended) -> BTreeMap<String, (String, String)> {
    let unit = |unit: &Value| {
        let number = unit["key"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let evidence: Vec<&str> = unit["evidence"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
        (number, (unit["state"].as_str().unwrap().to_owned(), evidence.join("; ")))
    };
    ended.report()["units"].as_array().unwrap().iter().map(unit).collect()
}

pub fn out(stage: &Stage, path: &str) -> String {
    let path: &Path = &stage.folder.path().join("out").join(path);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn work_in_trees_is_merged_and_dependents_start_from_it() {
    // The third step, which follows from the other two, finds their files, and says so in its own.
    let stage = Stage::new(
        "say Working 10; write; [ \"$n\" != 3 ] || ls src | sed 's/^/# /' >> src/step_3.py; echo note > notes.txt; rm notes.txt\n\
         done_with 'All done.'\n",
        "",
    );
    let tried = stage.say(&["agents", "test", "hands"]);
    assert!(tried.contains("hands delivered src/step_tryout.py") && tried.contains("100 tokens read, 20 written, for 0.250000"), "{tried}");
    let ended = stage.run(STEPS);
    let report = ended.expect(3, "partial");
    let states: Vec<String> = units(&ended).into_values().map(|(state, _)| state).collect();
    assert_eq!(states, vec!["succeeded"; states.len()], "{}", ended.said);
    let third = out(&stage, "src/step_3.py");
    assert!(third.contains("# step_1.py") && third.contains("# step_2.py"), "{third}");
    let branch = stage.branch(report["run"].as_str().unwrap());
    assert_eq!(branch.len(), states.len(), "one commit for each unit: {branch:?}");
    let agents = &report["agents"];
    let sent = branch.len() as u64;
    assert_eq!((agents["input_tokens"].as_u64(), agents["cost_micros"].as_u64()), (Some(100 * sent), Some(250_000 * sent)), "{agents}");
    assert_eq!(stage.say(&["worktrees"]).trim(), "no work trees");
    let transcripts = stage.say(&["logs", report["run"].as_str().unwrap(), "--transcripts"]);
    assert!(transcripts.contains("All done.") || transcripts.contains("Working"), "{transcripts}");
}

#[test]
fn what_an_agent_does_wrong_is_refused_and_named() {
    let stage = Stage::new(
        "case $n in\n\
         1) done_with 'I wrote everything.' ;;\n\
         2) write; echo stolen > ../../stolen; echo stolen > /var/tmp/specwave-stolen; mkdir -p .git; echo x > .git/hooks; echo K=1 > .env.local\n\
         done_with Done ;;\n\
         3) sleep 600 ;;\n\
         4) write; say Burning 900000; sleep 600 ;;\n\
         6|7) write; case $prompt in\n\
            *'+step 6'*'+step 7'*|*'+step 7'*'+step 6'*) ;;\n\
            *) while [ ! -e \"${0%/*}/go\" ]; do say Waiting 1; sleep 0.2; done ;;\n\
            esac; printf 'step %s\\n' \"$n\" >> CHANGES.md; done_with Done ;;\n\
         *) write; ln -s /etc/passwd src/link; done_with Done ;;\n\
         esac\n",
        "stall_secs = 2\ntokens_max = 500000\n",
    );
    let mut running = Running::start(stage.command(SEVEN, &fresh_name("wrong"), &["--allow-undeclared", "--concurrency", "4"]));
    for sibling in ["/6", "/7"] {
        let waits = |event: &Value| event["event"] == "unit_progress" && event["step"] == "Waiting";
        running.until("siblings work side by side", |event| waits(event) && event["key"].as_str().unwrap().ends_with(sibling));
    }
    file(stage.folder.path(), "go", "");
    let ended = running.end();
    let units = units(&ended);
    let check = |number: &str, expected: &str| {
        let (state, reason) = &units[number];
        assert!(state != "succeeded" && reason.contains(expected), "{number} is {state}: {reason}");
    };
    check("1", "the agent ended without changing any file");
    check("3", "the agent said nothing for 2 s");
    check("4", "the agent used 900005 tokens, more than the 500000 that one try may use");
    // A link that leads out of the tree is not taken, and said not to be.
    assert_eq!(units["5"].0, "succeeded", "{}", ended.said);
    let logs = stage.say(&["logs", ended.report()["run"].as_str().unwrap(), "/5"]);
    assert!(logs.contains("src/link was not taken"), "{logs}");
    assert!(!stage.folder.path().join("out/src/link").exists());
    // What lies outside of its tree it could not write, and what no unit may change is not taken.
    check("2", ".env.local may not be changed: secrets are kept in files of this name");
    assert!(!Path::new("/var/tmp/specwave-stolen").exists());
    // Both siblings are done, the second one after a conflict.
    assert!(["6", "7"].iter().all(|number| units[*number].0 == "succeeded"), "{units:?}");
    let shown = stage.say(&["report", ended.report()["run"].as_str().unwrap()]);
    let (_, tries) = shown.split_once("Tries that came to nothing\n").unwrap_or_else(|| panic!("{shown}"));
    let tries: Vec<&str> = tries.split("\n\n").next().unwrap().lines().collect();
    let told = |unit: &str, reason: &str| {
        let there = |line: &&str| {
            line.starts_with(&format!("logical-dependency-chain/{unit} ")) && line.contains(" hands ") && line.contains(reason)
        };
        assert!(tries.iter().any(there), "{unit}: {reason} is not in\n{shown}");
    };
    told("1", "the agent ended without changing any file that can be taken");
    told("2", "the agent changed what is not its own: .env.local may not be changed: secrets are kept in files of this name");
    told("3", "the agent said nothing for 2 s");
    told("4", "the agent used 900005 tokens, more than the 500000 that one try may use");
    let late = if tries.iter().any(|line| line.starts_with("logical-dependency-chain/6 ")) { ("6", "7") } else { ("7", "6") };
    told(late.0, &format!("it conflicts with logical-dependency-chain/{} in CHANGES.md", late.1));
    let kept = stage.say(&["worktrees"]);
    assert!(kept.contains("kept"), "{kept}");
    let discarded = stage.say(&["worktrees", "--discard"]);
    assert!(discarded.contains("removed") && discarded.contains("no work trees"), "{discarded}");
}

#[test]
fn a_file_that_another_unit_chose_is_refused_and_the_next_try_writes_another() {
    // Each writes the file of the first, and its own once it is told what was wrong.
    let stage = Stage::new(
        "case $prompt in *'belongs to'*) write ;; *) write; mv src/step_$n.py src/shared.py ;; esac\n\
         done_with Done\n",
        "",
    );
    let ended = stage.run(STEPS);
    let states: Vec<String> = units(&ended).into_values().map(|(state, _)| state).collect();
    assert_eq!(states, vec!["succeeded"; states.len()], "{}", ended.said);
    let branch = stage.branch(ended.report()["run"].as_str().unwrap());
    assert_eq!(branch.len(), states.len(), "{branch:?}");
    assert!(out(&stage, "src/shared.py").contains("step_"), "one of them has it");
}

#[test]
fn a_process_that_dies_between_merge_and_settlement_has_nobody_asked_again() {
    let stage = Stage::new("write; done_with \"try of $$\"\n", "");
    let name = fresh_name("killed");
    let mut command = stage.command(STEPS, &name, &[]);
    command.env("SPECWAVE_FAILPOINTS", "unit.after_effect=1");
    let killed = Running::start(command).end();
    assert_eq!(killed.code, None, "it was to be killed: {}", killed.said);
    let ended = Running::start(stage.command(STEPS, &name, &[])).end();
    let report = ended.expect(3, "partial");
    let (run, count) = (report["run"].as_str().unwrap(), units(&ended).len());
    let branch = stage.branch(run);
    assert_eq!(branch.len(), count, "each unit is merged once: {branch:?}");
    let logs = stage.say(&["logs", run]);
    assert_eq!(logs.matches("its work was merged before").count(), 1, "{logs}");
}

#[test]
fn an_agent_behind_a_server_works_in_the_tree_that_it_is_told() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // Between the words of the prompt that name them.
    let between = |text: &str, before: &str, after: &str| {
        let rest = text.split_once(before).map_or("", |(_, rest)| rest);
        rest.split_once(after).map_or("", |(found, _)| found).to_owned()
    };
    let work = move |told: &str| {
        let tree = PathBuf::from(between(told, "Work in the directory ", " and change"));
        let key = between(told, "to do your unit, `", "`");
        let number = key.rsplit('/').next().unwrap();
        assert!(tree.is_dir(), "{told}");
        fs::create_dir_all(tree.join("src")).unwrap();
        let module =
            format!("\"\"\"Step {number}.\"\"\"\n\n\ndef step_{number}() -> int:\n    \"\"\"Say which.\"\"\"\n    return {number}\n");
        fs::write(tree.join(format!("src/step_{number}.py")), module).unwrap();
        "All done.".to_owned()
    };
    let server = runtime.block_on(AgentServer::working(work));
    let stage = Stage::behind(&server);
    let ended = stage.run(STEPS);
    let report = ended.expect(3, "partial");
    let states: Vec<String> = units(&ended).into_values().map(|(state, _)| state).collect();
    assert_eq!(states, vec!["succeeded"; states.len()], "{}", ended.said);
    assert_eq!(stage.branch(report["run"].as_str().unwrap()).len(), states.len());
    assert!(out(&stage, "src/step_3.py").contains("return 3"));
    assert_eq!(report["agents"]["unreported"].as_u64(), Some(states.len() as u64), "the protocol tells no use");
    let said = stage.say(&["logs", report["run"].as_str().unwrap(), "--transcripts"]);
    assert!(said.contains("All done.") && said.contains("not confined by specwave"), "{said}");
}
