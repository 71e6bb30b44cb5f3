//! Command-line agents in the sandbox. The programs are stand-ins, small scripts that print what the real ones are documented to print:
//! what is tested is how they are run, listened to, ended and judged.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use specwave::agents::command::{
    Cause, CommandAgent, CommandError, CommandOutcome, CommandSettings, CommandTask, Preset, Progress, PromptBy,
};
use specwave::engine::ErrorClass;
use specwave::exec::repository::{Authorship, ChangeLimits, Git, MergeOutcome, Repository, RepositoryError, Site};
use specwave::exec::{Exit, Limit, Network, Recorder, sandbox};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A stand-in, and the work tree that it works in.
struct Stage {
    tools: TempDir,
    work: TempDir,
}

impl Stage {
    /// None, with a printed skip, where the kernel cannot confine an agent as it must be.
    fn new() -> Option<Self> {
        let tier = sandbox::offered().tier;
        if !(tier.filesystem && tier.network) {
            println!("skipped: agents in the sandbox ({tier})");
            return None;
        }
        Some(Self { tools: TempDir::new().unwrap(), work: TempDir::new().unwrap() })
    }

    /// Settings for a stand-in that runs this script.
    fn settings(&self, preset: Preset, script: &str) -> CommandSettings {
        let path = self.tools.path().join("agent");
        fs::write(self.tools.path().join("new"), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(self.tools.path().join("new"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(self.tools.path().join("new"), &path).unwrap();
        let program = vec![path.to_str().unwrap().to_owned()];
        CommandSettings { program, readable: vec![self.tools.path().to_owned()], ..CommandSettings::new(preset) }
    }

    fn task(&self) -> CommandTask {
        CommandTask {
            key: "unit/a".to_owned(),
            prompt: "Write a.txt.\n--not-an-option".to_owned(),
            worktree: self.work.path().to_owned(),
            env: [].into(),
            network: Network::None,
            recorder: Recorder::nowhere(),
        }
    }

    async fn run(&self, settings: CommandSettings) -> Result<CommandOutcome, CommandError> {
        perform(settings, &self.task(), &CancellationToken::new()).await.0
    }

    async fn cause(&self, settings: CommandSettings) -> CommandError {
        let error = self.run(settings).await.unwrap_err();
        assert!(!error.hint().is_empty());
        error
    }

    /// Processes that are still there: in the work tree, or of the stand-in. Inside a namespace of their own they have other numbers.
    fn left(&self) -> Vec<String> {
        let (work, tools) = (self.work.path(), self.tools.path().to_str().unwrap());
        let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let shown = |pid: u32| {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ");
            let there = fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|dir| dir.starts_with(work));
            (there || line.contains(tools)).then(|| format!("{pid} {line}"))
        };
        pids.filter_map(shown).collect()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.work.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

async fn perform(
    settings: CommandSettings,
    task: &CommandTask,
    cancel: &CancellationToken,
) -> (Result<CommandOutcome, CommandError>, Vec<Progress>) {
    let agent = CommandAgent::new(settings, Some(PathBuf::from(env!("CARGO_BIN_EXE_specwave")))).unwrap();
    let mut told = Vec::new();
    let outcome = agent.perform(task, &mut |progress| told.push(progress), cancel).await;
    (outcome, told)
}

/// Commands of a script that print these events.
fn say(events: &[&str]) -> String {
    events.iter().fold(String::new(), |script, event| script + "cat <<'EVENT'\n" + event + "\nEVENT\n")
}

const INIT: &str = r#"{"type":"system","subtype":"init","session_id":"s-1"}"#;
const SAYS: &str = r#"{"type":"assistant","message":{"id":"m1","content":[{"type":"text","text":"Working."}],"usage":{"input_tokens":10,"output_tokens":2}}}"#;
const DONE: &str = r#"{"type":"result","subtype":"success","is_error":false,"num_turns":1,"result":"All done.","session_id":"s-1","total_cost_usd":0.5,"usage":{"input_tokens":10,"output_tokens":20}}"#;

#[tokio::test]
async fn a_good_agent_is_told_heard_and_counted() {
    let Some(stage) = Stage::new() else { return };
    let script = format!("cat > prompt; printf '%s\\n' \"$@\" > arguments; env > environment; pwd > dir\n{}", say(&[INIT, SAYS, DONE]));
    let mut task = stage.task();
    task.env = [("AGENT_KEY".to_owned(), "correct-horse-battery".to_owned())].into();
    let (outcome, told) = perform(stage.settings(Preset::Claude, &script), &task, &CancellationToken::new()).await;
    let outcome = outcome.unwrap();
    assert_eq!(stage.read("prompt"), task.prompt);
    assert_eq!(stage.read("arguments"), "-p\n--output-format\nstream-json\n--verbose\n--permission-mode\nacceptEdits\n");
    assert_eq!(Path::new(stage.read("dir").trim()).canonicalize().unwrap(), stage.work.path().canonicalize().unwrap());
    let environment = stage.read("environment");
    let mut names: Vec<&str> = environment.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.retain(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["AGENT_KEY", "HOME", "LANG", "PATH", "TMPDIR"]);
    let started = Progress::Started { session: "s-1".to_owned() };
    assert_eq!(told, [started, Progress::Text("Working.".to_owned()), Progress::Used { tokens: 12 }, Progress::Used { tokens: 30 }]);
    assert_eq!(
        (outcome.exit, outcome.session.as_deref(), outcome.message.as_deref()),
        (Some(Exit::Code(0)), Some("s-1"), Some("All done."))
    );
    let usage = outcome.usage;
    assert_eq!((usage.input, usage.output, usage.cost_micros, usage.turns), (Some(10), Some(20), Some(500_000), Some(1)));
    assert!(usage.complete && outcome.tier.filesystem && outcome.tier.network && outcome.counts.lines == 3);
}

#[tokio::test]
async fn codex_aider_and_any_other_get_their_prompts_too() {
    let Some(stage) = Stage::new() else { return };
    let prompt = stage.task().prompt;
    let codex =
        say(&[r#"{"type":"thread.started","thread_id":"t"}"#, r#"{"type":"turn.completed","usage":{"input_tokens":7,"output_tokens":1}}"#]);
    let outcome = stage.run(stage.settings(Preset::Codex, &format!("cat > codex\n{codex}"))).await.unwrap();
    assert_eq!((stage.read("codex"), outcome.usage.input), (prompt.clone(), Some(7)));
    let aider = "for word in \"$@\"; do case $word in --message-file=*) cat \"${word#*=}\" > aider;; esac; done\necho 'Tokens: 2k sent, 5 received.'";
    let outcome = stage.run(stage.settings(Preset::Aider, aider)).await.unwrap();
    assert_eq!((stage.read("aider"), outcome.usage.input), (prompt.clone(), Some(2_000)));
    let any = CommandSettings { prompt: PromptBy::Argument, ..stage.settings(Preset::Any, "printf %s \"$1\" > any; echo fine") };
    let outcome = stage.run(any).await.unwrap();
    assert_eq!((stage.read("any"), outcome.message.as_deref(), outcome.usage.input), (prompt, Some("fine"), None));
}

#[tokio::test]
async fn work_is_taken_from_the_work_tree_and_merged() {
    let Some(stage) = Stage::new() else { return };
    let data = TempDir::new().unwrap();
    let git = Git::find(None).await.unwrap();
    let site = Site { data_dir: data.path().to_owned(), run: "r1".to_owned(), slug: "s".to_owned() };
    let repository = Repository::open_or_create(&git, &site, 0).await.unwrap();
    let worktree = repository.worktree("unit/a", 1, repository.start()).await.unwrap();
    let script = format!("echo work > a.txt\nmkdir .git && echo evil > .git/config\n{}", say(&[INIT, DONE]));
    let task = CommandTask { worktree: worktree.path(), ..stage.task() };
    perform(stage.settings(Preset::Claude, &script), &task, &CancellationToken::new()).await.0.unwrap();
    let change = worktree.diff(&ChangeLimits::default()).await.unwrap();
    let by = Authorship { unit: "unit/a".to_owned(), token: 1, agent: "command/claude".to_owned(), title: "A".to_owned(), at: 1 };
    let commit = repository.commit(&change, &by).await.unwrap();
    let queue = repository.merges(Duration::from_secs(10), &CancellationToken::new()).await.unwrap();
    let MergeOutcome::Merged(merged) = queue.merge(&commit, async |_| Ok::<_, RepositoryError>(true)).await.unwrap() else {
        panic!("it is merged")
    };
    assert_eq!(merged.changed.tree.iter().map(|(path, _)| path).collect::<Vec<_>>(), ["a.txt"]);
}

#[tokio::test]
async fn an_agent_that_lies_has_changed_nothing() {
    let Some(stage) = Stage::new() else { return };
    let data = TempDir::new().unwrap();
    let site = Site { data_dir: data.path().to_owned(), run: "r1".to_owned(), slug: "s".to_owned() };
    let repository = Repository::open_or_create(&Git::find(None).await.unwrap(), &site, 0).await.unwrap();
    let worktree = repository.worktree("unit/a", 1, repository.start()).await.unwrap();
    let task = CommandTask { worktree: worktree.path(), ..stage.task() };
    let claims =
        r#"{"type":"assistant","message":{"id":"m","content":[{"type":"tool_use","name":"Write","input":{"file_path":"a.txt"}}]}}"#;
    let (outcome, _) = perform(stage.settings(Preset::Claude, &say(&[INIT, claims, DONE])), &task, &CancellationToken::new()).await;
    assert_eq!(outcome.unwrap().counts.edits, 1, "it says so");
    let change = worktree.diff(&ChangeLimits::default()).await.unwrap();
    assert!(change.is_empty());
    let by = Authorship { unit: "unit/a".to_owned(), token: 1, agent: "liar".to_owned(), title: "A".to_owned(), at: 1 };
    assert!(matches!(repository.commit(&change, &by).await, Err(RepositoryError::Unchanged { .. })));
}

#[tokio::test]
async fn a_chatty_agent_is_heard_to_its_end() {
    let Some(stage) = Stage::new() else { return };
    let many = format!("i=0; while [ $i -lt 20000 ]; do echo '{SAYS}'; i=$((i+1)); done; head -c 200000 /dev/zero | tr '\\0' e >&2");
    let outcome = stage.run(stage.settings(Preset::Claude, &format!("{many}\n{}", say(&[DONE])))).await.unwrap();
    assert_eq!((outcome.counts.lines, outcome.counts.texts, outcome.message.as_deref()), (20_001, 20_000, Some("All done.")));
    let held: usize = outcome.transcript.entries.iter().map(|entry| entry.text.len()).sum();
    assert!(held <= 512 << 10 && outcome.transcript.entries.len() <= 5_000 && outcome.transcript.left_out_bytes > 100_000);
}

#[tokio::test]
async fn huge_lines_and_broken_json_are_passed_over() {
    let Some(stage) = Stage::new() else { return };
    let script = format!(
        "head -c 5000000 /dev/zero | tr '\\0' x; echo\necho '{{\"type\":'\necho 'Warning: something'\n{}printf '%s' '{DONE}'",
        say(&[r#"{"type":"unheard_of"}"#])
    );
    let outcome = stage.run(stage.settings(Preset::Claude, &script)).await.unwrap();
    assert_eq!((outcome.counts.lines, outcome.counts.too_long, outcome.counts.broken, outcome.counts.unknown), (5, 1, 2, 1));
    assert!(outcome.transcript.entries.iter().any(|entry| entry.text.contains("not understood: Warning: something")));
}

#[tokio::test]
async fn an_agent_that_stalls_is_ended_and_one_that_is_slow_is_not() {
    let Some(stage) = Stage::new() else { return };
    let slow = format!("for i in 1 2 3 4 5 6; do echo '{SAYS}'; sleep 0.5; done\n{}", say(&[DONE]));
    let slow = CommandSettings { stall: Duration::from_secs(2), ..stage.settings(Preset::Claude, &slow) };
    assert!(stage.run(slow).await.unwrap().duration > Duration::from_secs(2));
    let stalling = format!("echo $$ > pid\n{}trap '' TERM; while :; do sleep 1000; done", say(&[INIT, SAYS]));
    let stalling = CommandSettings { stall: Duration::from_millis(700), ..stage.settings(Preset::Claude, &stalling) };
    let error = stage.cause(stalling).await;
    assert!(matches!(error.cause, Cause::Stalled(_)) && error.class() == ErrorClass::Timeout, "{error}");
    assert_eq!(stage.left(), Vec::<String>::new());
    let outcome = error.outcome;
    assert_eq!((outcome.usage.input, outcome.usage.complete, outcome.message.as_deref()), (Some(10), false, Some("Working.")));
}

#[tokio::test]
async fn a_deadline_ends_what_ignores_it_and_what_it_left_behind() {
    let Some(stage) = Stage::new() else { return };
    let script = "trap '' TERM INT HUP\nsetsid sh -c 'trap \"\" TERM; echo $$ > grandchild; while :; do sleep 1000; done' &\necho $$ > child\nwhile :; do echo busy; sleep 0.1; done";
    let settings = CommandSettings { deadline: Duration::from_millis(1_500), ..stage.settings(Preset::Any, script) };
    let error = stage.cause(settings).await;
    assert!(matches!(error.cause, Cause::TimedOut(_)) && error.class() == ErrorClass::Timeout, "{error}");
    assert!(["child", "grandchild"].iter().all(|name| !stage.read(name).is_empty()), "both had begun");
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[tokio::test]
async fn cancelling_ends_it_and_a_daemon_does_not_survive_its_parent() {
    let Some(stage) = Stage::new() else { return };
    let cancel = CancellationToken::new();
    let task = stage.task();
    let settings = stage.settings(Preset::Any, "trap '' TERM\necho $$ > pid; echo ready; while :; do sleep 1000; done");
    let seen = cancel.clone();
    let agent = CommandAgent::new(settings, Some(PathBuf::from(env!("CARGO_BIN_EXE_specwave")))).unwrap();
    let error = agent.perform(&task, &mut |_| seen.cancel(), &cancel).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Cancelled) && error.class() == ErrorClass::Cancelled, "{error}");
    assert_eq!(stage.left(), Vec::<String>::new());

    let daemon = format!("setsid sleep 1000 >/dev/null 2>&1 & echo $! > daemon\n{}", say(&[DONE]));
    let began = Instant::now();
    stage.run(stage.settings(Preset::Claude, &daemon)).await.unwrap();
    assert!(!stage.read("daemon").is_empty() && began.elapsed() < Duration::from_mins(1));
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[tokio::test]
async fn an_agent_that_dies_half_way_has_crashed() {
    let Some(stage) = Stage::new() else { return };
    for (end, exit) in [("exit 0", Exit::Code(0)), ("echo oops >&2; exit 3", Exit::Code(3)), ("kill -9 $$", Exit::Signal(9))] {
        let script = format!("echo half > file\n{}{end}", say(&[INIT, SAYS]));
        let error = stage.cause(stage.settings(Preset::Claude, &script)).await;
        assert!(matches!(&error.cause, Cause::Crashed { exit: found, .. } if *found == exit), "{error}");
        assert_eq!(
            (error.class(), error.outcome.usage.output, error.outcome.session.as_deref()),
            (ErrorClass::Transient, Some(2), Some("s-1"))
        );
        assert_eq!(error.to_string().contains("oops"), end.contains("oops"));
    }
    let any = stage.cause(stage.settings(Preset::Any, "echo fine; exit 1")).await;
    assert!(matches!(any.cause, Cause::Crashed { exit: Exit::Code(1), .. }), "{any}");
    let cpu = CommandSettings {
        limits: specwave::exec::Limits { cpu_secs: 1, ..Default::default() },
        ..stage.settings(Preset::Any, "while :; do :; done")
    };
    assert!(matches!(stage.cause(cpu).await.cause, Cause::Limit(Limit::CpuTime)));
}

#[tokio::test]
async fn failures_are_told_apart() {
    let Some(stage) = Stage::new() else { return };
    let result = |said: &str| say(&[&format!(r#"{{"type":"result","subtype":"success","is_error":true,"result":"{said}"}}"#)]) + "exit 1";
    let cause = async |preset, script: String| stage.cause(stage.settings(preset, &script)).await;
    let login = cause(Preset::Claude, result("Invalid API key · Please run /login")).await;
    assert!(matches!(login.cause, Cause::Unauthorized(_)) && login.class() == ErrorClass::NeedsInput, "{login}");
    let soon = time::OffsetDateTime::now_utc().unix_timestamp() + 3_600;
    let limited = cause(Preset::Claude, result(&format!("Claude AI usage limit reached|{soon}"))).await;
    assert_eq!(limited.class(), ErrorClass::Transient);
    let after = limited.retry_after().unwrap();
    assert!(after > Duration::from_mins(58) && after <= Duration::from_hours(1), "{after:?}");
    let busy = cause(Preset::Codex, say(&[r#"{"type":"turn.failed","error":{"message":"529 Overloaded"}}"#])).await;
    assert!(matches!(busy.cause, Cause::Overloaded(_)) && busy.class() == ErrorClass::Transient, "{busy}");
    let turns = cause(Preset::Claude, say(&[r#"{"type":"result","subtype":"error_max_turns","is_error":true}"#])).await;
    assert!(matches!(turns.cause, Cause::MaxTurns) && turns.class() == ErrorClass::Permanent, "{turns}");
    let aider = cause(Preset::Aider, "echo 'litellm.AuthenticationError: Missing key'; exit 0".to_owned()).await;
    assert!(matches!(aider.cause, Cause::Unauthorized(_)), "{aider}");
    let plain = cause(Preset::Codex, "echo 'Not logged in. Run codex login.' >&2; exit 1".to_owned()).await;
    assert!(matches!(plain.cause, Cause::Unauthorized(_)), "{plain}");
    let failed = cause(Preset::Claude, result("I gave up")).await;
    assert!(matches!(&failed.cause, Cause::Failed(said) if said == "I gave up"), "{failed}");
}

#[tokio::test]
async fn what_cannot_be_run_says_why() {
    let Some(stage) = Stage::new() else { return };
    let missing = CommandSettings { program: vec!["no-such-agent".to_owned()], ..CommandSettings::new(Preset::Claude) };
    let error = stage.cause(missing).await;
    assert!(matches!(&error.cause, Cause::NotInstalled(program) if program == "no-such-agent"), "{error}");
    assert_eq!((error.class(), error.outcome.exit), (ErrorClass::NeedsInput, None));
    let long = CommandSettings { prompt: PromptBy::Argument, ..stage.settings(Preset::Claude, "exit 0") };
    let task = CommandTask { prompt: "x".repeat(200_000), ..stage.task() };
    let error = perform(long, &task, &CancellationToken::new()).await.0.unwrap_err();
    assert!(matches!(error.cause, Cause::Settings(_)) && error.class() == ErrorClass::Permanent, "{error}");
}

#[tokio::test]
async fn the_rest_of_the_machine_is_out_of_reach() {
    let Some(stage) = Stage::new() else { return };
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("secret"), "s3cret").unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let script = format!(
        "echo x > {0}/escape\ncat {0}/secret > stolen\nln -s {0} out; echo x > out/escape\necho x >> \"$0\"\n\
         bash -c 'exec 3<>/dev/tcp/127.0.0.1/{1}' && touch connected\necho mine > inside\n{2}",
        outside.path().display(),
        port.local_addr().unwrap().port(),
        say(&[DONE])
    );
    let settings = stage.settings(Preset::Claude, &script);
    let before = fs::read(stage.tools.path().join("agent")).unwrap();
    stage.run(settings).await.unwrap();
    assert_eq!((stage.read("inside"), stage.read("stolen")), ("mine\n".to_owned(), String::new()));
    assert!(!outside.path().join("escape").exists() && !stage.work.path().join("connected").exists());
    assert_eq!(fs::read(stage.tools.path().join("agent")).unwrap(), before);
}

#[tokio::test]
async fn secrets_are_kept_out_of_whatever_is_kept() {
    let Some(stage) = Stage::new() else { return };
    let leak = r#"{"type":"assistant","message":{"id":"m","content":[{"type":"text","text":"key is KEY and Authorization: Bearer abcdef0123456789"},{"type":"tool_use","name":"Bash","input":{"command":"curl -H KEY"}}]}}"#;
    let script = say(&[leak]).replace("<<'EVENT'", "<<EVENT").replace("KEY", "$AGENT_KEY")
        + "echo \"$AGENT_KEY\" >&2; echo \"died of $AGENT_KEY\"; exit 1";
    let mut task = stage.task();
    task.env = [("AGENT_KEY".to_owned(), "correct-horse-battery".to_owned())].into();
    let (outcome, told) = perform(stage.settings(Preset::Claude, &script), &task, &CancellationToken::new()).await;
    let error = outcome.unwrap_err();
    let everything = format!("{told:?} {error} {error:?} {task:?}");
    assert!(everything.contains("[redacted]"), "{everything}");
    assert!(!everything.contains("correct-horse") && !everything.contains("abcdef0123456789"), "{everything}");
}
