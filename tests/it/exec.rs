//! Commands: captured, limited, confined, and gone afterwards, whatever happens to specwave.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use specwave::exec::{self, Command, Confinement, ExecError, Exit, Finished, Level, Limit, Network, Recorder, sandbox};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio_util::sync::CancellationToken;

fn command(dir: &Path, argv: &[&str]) -> Command {
    let mut command = Command::new(argv.iter().copied(), dir);
    command.supervisor = Some(PathBuf::from(env!("CARGO_BIN_EXE_specwave")));
    // These tests follow processes by their ids, which are others inside a namespace; `escape` looks there.
    command.level_max = Level::Seccomp;
    command
}

fn shell(dir: &Path, script: &str) -> Command {
    command(dir, &["sh", "-c", script])
}

async fn run(command: &Command) -> Finished {
    exec::run(command, &Recorder::nowhere(), &CancellationToken::new()).await.unwrap()
}

/// True while the process exists and is no zombie.
fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.rsplit_once(") ").unwrap().1.starts_with(['Z', 'X']))
}

async fn until_gone(pid: u32) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while alive(pid) {
        assert!(Instant::now() < deadline, "process {pid} is still there");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The numbers that a command printed, one a line.
fn pids(text: &str) -> Vec<u32> {
    text.lines().map(|line| line.trim().parse().unwrap()).collect()
}

#[tokio::test]
async fn output_and_exit_code_come_back() {
    let dir = TempDir::new().unwrap();
    let finished = run(&shell(dir.path(), "echo out; echo err >&2; exit 7")).await;
    assert_eq!((finished.exit, finished.stdout.text(), finished.stderr.text()), (Exit::Code(7), "out\n".into(), "err\n".into()));
    assert!(finished.stdout.lossless && finished.stderr.lossless);
    assert_eq!(finished.tier.landlock_abi, sandbox::offered().tier.landlock_abi);
}

#[tokio::test]
async fn the_environment_is_cleared() {
    let dir = TempDir::new().unwrap();
    let finished = run(&command(dir.path(), &["env"]).env("GIVEN", "yes")).await;
    let text = finished.stdout.text();
    let mut names: Vec<_> = text.lines().map(|line| line.split_once('=').unwrap().0).collect();
    names.sort_unstable();
    assert_eq!(names, ["GIVEN", "HOME", "LANG", "PATH", "TMPDIR"]);
    let home = text.lines().find_map(|line| line.strip_prefix("HOME=")).unwrap();
    assert!(!Path::new(home).exists(), "the scratch directory is removed afterwards");
}

#[tokio::test]
async fn a_flood_of_output_is_bounded_and_marked() {
    let dir = TempDir::new().unwrap();
    let mut command = shell(dir.path(), "echo start; head -c 5000000 /dev/zero | tr '\\0' x; echo; echo end");
    command.limits.output_bytes = 1000;
    let stdout = run(&command).await.stdout;
    assert!(stdout.text().starts_with("start\n") && stdout.text().ends_with("\nend\n"));
    assert_eq!((stdout.head.len() + stdout.tail.len(), stdout.lossless), (1000, false));
    assert_eq!(stdout.omitted_bytes, 5_000_011 - 1000);
}

#[tokio::test]
async fn a_deadline_ends_the_whole_group_and_what_left_it() {
    let dir = TempDir::new().unwrap();
    let script = "echo $$; sleep 1000 & echo $!; setsid sh -c 'echo $$; sleep 1000 & echo $!; wait' & wait";
    let mut command = shell(dir.path(), script);
    command.limits.wall = Duration::from_millis(800);
    let finished = run(&command).await;
    assert_eq!(finished.exit, Exit::TimedOut);
    let pids = pids(&finished.stdout.text());
    assert_eq!(pids.len(), 4);
    assert_eq!(pids.into_iter().filter(|pid| alive(*pid)).collect::<Vec<_>>(), Vec::<u32>::new());
}

#[tokio::test]
async fn what_a_finished_command_leaves_behind_is_ended() {
    let dir = TempDir::new().unwrap();
    let finished = run(&shell(dir.path(), "setsid sleep 1000 & echo $!; exit 0")).await;
    assert!(finished.exit.success());
    assert!(finished.duration < Duration::from_secs(20), "it does not wait for the leftover, which holds its stdout");
    assert!(!alive(pids(&finished.stdout.text())[0]));
}

#[tokio::test]
async fn cancelling_ends_the_group() {
    let dir = TempDir::new().unwrap();
    let cancel = CancellationToken::new();
    let command = shell(dir.path(), "sleep 1000 & echo $!; wait");
    let service = exec::start(&command, &Recorder::nowhere()).await.unwrap();
    let pid = service.pid();
    let waiting = service.wait(&cancel);
    let (finished, ()) = tokio::join!(waiting, async { cancel.cancel() });
    assert_eq!(finished.unwrap().exit, Exit::Cancelled);
    assert!(!alive(pid));
}

#[tokio::test]
async fn a_stopped_service_gets_a_chance_to_say_goodbye() {
    let dir = TempDir::new().unwrap();
    let script = "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
    let service = exec::start(&shell(dir.path(), script), &Recorder::nowhere()).await.unwrap();
    while !service.output().0.text().contains("ready") {
        tokio::task::yield_now().await;
    }
    let finished = service.stop().await.unwrap();
    assert_eq!((finished.exit, finished.stdout.text()), (Exit::Code(3), "ready\nbye\n".into()));
}

#[tokio::test]
async fn dropping_a_service_ends_its_group() {
    let dir = TempDir::new().unwrap();
    let service = exec::start(&shell(dir.path(), "trap '' TERM; setsid sleep 1000 & echo $!; wait"), &Recorder::nowhere()).await.unwrap();
    let leader = service.pid();
    while service.output().0.head.is_empty() {
        tokio::task::yield_now().await;
    }
    let child = pids(&service.output().0.text())[0];
    drop(service);
    until_gone(leader).await;
    until_gone(child).await;
}

/// Re-executes this test in a process of its own that starts a command, and kills that process the hard way.
#[tokio::test]
async fn killing_specwave_ends_its_commands() {
    let dir = TempDir::new().unwrap();
    if std::env::var_os("SPECWAVE_TEST_HOST").is_some() {
        let service = exec::start(&shell(dir.path(), "setsid sleep 1000 & echo $!; wait"), &Recorder::nowhere()).await.unwrap();
        while service.output().0.head.is_empty() {
            tokio::task::yield_now().await;
        }
        println!("\npids {} {}", service.pid(), service.output().0.text().trim());
        let _ = service.wait(&CancellationToken::new()).await;
        return;
    }
    let mut host = tokio::process::Command::new(std::env::current_exe().unwrap());
    host.args(["exec::killing_specwave_ends_its_commands", "--exact", "--nocapture"]).env("SPECWAVE_TEST_HOST", "1");
    let mut host = host.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(host.stdout.take().unwrap()).lines();
    let pids = loop {
        let line = lines.next_line().await.unwrap().expect("the host starts its command");
        if let Some(pids) = line.strip_prefix("pids ") {
            break pids.split(' ').map(|pid| pid.parse().unwrap()).collect::<Vec<u32>>();
        }
    };
    assert!(pids.iter().all(|pid| alive(*pid)));
    host.kill().await.unwrap();
    for pid in pids {
        until_gone(pid).await;
    }
}

#[tokio::test]
async fn a_killed_supervisor_is_an_error_and_leaves_no_group() {
    let dir = TempDir::new().unwrap();
    let service = exec::start(&shell(dir.path(), "sleep 1000 & wait"), &Recorder::nowhere()).await.unwrap();
    let pid = service.pid();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let supervisor: i32 = stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(supervisor).unwrap(), rustix::process::Signal::KILL).unwrap();
    let error = service.wait(&CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, ExecError::Lost { .. }) && error.is_transient(), "{error}");
    until_gone(pid).await;
}

#[tokio::test]
async fn limits_are_reached_and_named() {
    let dir = TempDir::new().unwrap();
    let with = |script: &str, change: fn(&mut Command)| {
        let mut command = shell(dir.path(), script);
        command.writable = vec![dir.path().to_owned()];
        command.limits.wall = Duration::from_mins(1);
        change(&mut command);
        command
    };
    let cpu = run(&with("while :; do :; done", |command| command.limits.cpu_secs = 1)).await;
    assert_eq!(cpu.exit, Exit::Limit(Limit::CpuTime));
    let file = run(&with("exec head -c 1000000 /dev/zero > big", |command| command.limits.file_size_bytes = 1000)).await;
    assert_eq!(file.exit, Exit::Limit(Limit::FileSize));
    assert_eq!(std::fs::metadata(dir.path().join("big")).unwrap().len(), 1000);
    let spawning = run(&with("for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; wait", |command| command.limits.processes = 4)).await;
    assert!(matches!(spawning.exit, Exit::Limit(Limit::Processes) | Exit::Code(2)), "{}", spawning.exit);
    let memory = run(&with("exec tail /dev/zero", |command| command.limits.memory_bytes = 64 << 20)).await;
    assert!(!memory.exit.success() && memory.exit != Exit::TimedOut, "{}", memory.exit);
}

#[tokio::test]
async fn what_cannot_be_run_says_why() {
    let dir = TempDir::new().unwrap();
    let missing = exec::run(&command(dir.path(), &["no-such-program"]), &Recorder::nowhere(), &CancellationToken::new()).await.unwrap_err();
    assert!(missing.to_string().starts_with("cannot run no-such-program in /"), "{missing}");
    let nowhere =
        exec::run(&command(&dir.path().join("gone"), &["true"]), &Recorder::nowhere(), &CancellationToken::new()).await.unwrap_err();
    assert!(matches!(nowhere, ExecError::Refused { .. }), "{nowhere}");
    let empty = exec::run(&command(dir.path(), &[]), &Recorder::nowhere(), &CancellationToken::new()).await.unwrap_err();
    assert!(matches!(empty, ExecError::Empty), "{empty}");
    let mut orphan = command(dir.path(), &["true"]);
    orphan.supervisor = Some(dir.path().join("none"));
    let unsupervised = exec::run(&orphan, &Recorder::nowhere(), &CancellationToken::new()).await.unwrap_err();
    assert!(matches!(unsupervised, ExecError::Supervisor { .. }), "{unsupervised}");
}

/// Prints a skip and answers true where the kernel cannot confine.
fn unconfined(what: &str, offered: fn(&sandbox::Tier) -> bool) -> bool {
    let tier = sandbox::offered().tier;
    if !offered(&tier) {
        println!("skipped: {what} ({tier})");
    }
    !offered(&tier)
}

#[tokio::test]
async fn files_outside_the_named_ones_are_out_of_reach() {
    if unconfined("confined files", |tier| tier.filesystem) {
        return;
    }
    let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let secret = other.path().join("secret");
    std::fs::write(&secret, "s3cret").unwrap();
    let reading = format!("cat {}", secret.display());
    let refused = run(&shell(dir.path(), &reading)).await;
    assert!(!refused.exit.success() && refused.stderr.text().contains("Permission denied"), "{}", refused.output(500));
    let mut named = shell(dir.path(), &reading);
    named.readable = vec![secret.clone()];
    named.confinement = Confinement::Required(Level::Landlock);
    assert_eq!(run(&named).await.stdout.text(), "s3cret");
    named.argv[2] = format!("echo changed > {}", secret.display());
    assert!(!run(&named).await.exit.success());
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "s3cret");

    let mut writing = shell(dir.path(), "echo mine > file");
    assert!(!run(&writing).await.exit.success(), "the working directory is not writable unless it is named");
    writing.writable = vec![dir.path().to_owned()];
    assert!(run(&writing).await.exit.success());
    let scratch = run(&shell(dir.path(), "echo mine > $HOME/file && echo mine > $TMPDIR/file && mktemp")).await;
    assert!(scratch.exit.success(), "{}", scratch.output(500));
    let gone = other.path().join("gone");
    writing.writable = vec![gone];
    assert!(matches!(exec::run(&writing, &Recorder::nowhere(), &CancellationToken::new()).await, Err(ExecError::Refused { .. })));
}

#[tokio::test]
async fn other_processes_are_out_of_reach() {
    if unconfined("confined signals", |tier| tier.signals) {
        return;
    }
    let dir = TempDir::new().unwrap();
    let own = std::process::id();
    let script = format!("kill -0 {own} && echo signalled; cat /proc/{own}/environ && echo read; kill -9 $PPID && echo killed; exit 0");
    let finished = run(&shell(dir.path(), &script)).await;
    assert_eq!((finished.exit, finished.stdout.text()), (Exit::Code(0), String::new()));
}

#[tokio::test]
async fn tcp_ports_outside_the_named_ones_are_out_of_reach() {
    if unconfined("confined ports", |tier| tier.network) {
        return;
    }
    let dir = TempDir::new().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut command = command(dir.path(), &["bash", "-c", &format!("exec 3<>/dev/tcp/127.0.0.1/{port} && echo connected")]);
    let refused = run(&command).await;
    assert!(!refused.exit.success() && refused.stderr.text().contains("Permission denied"), "{}", refused.output(500));
    command.network = Network::Ports(vec![port]);
    assert_eq!(run(&command).await.stdout.text(), "connected\n");
    command.network = Network::Any;
    let finished = run(&command).await;
    assert_eq!((finished.stdout.text().as_str(), finished.tier.network), ("connected\n", false));
}
