//! Commands that try to escape: each attempt at each level of the sandbox that the machine offers, and once without any, which shows
//! that the attempt would succeed.

use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use specwave::exec::{self, Command, Confinement, ExecError, Exit, Finished, Level, Limit, Recorder, sandbox};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Where an attempt fails. From a level on, or at none, and what must be seen below it.
enum Refused {
    /// From this level on; it succeeds below.
    Since(Level),
    /// From this level on; whether it succeeds below depends on the kernel's version and settings or on who runs the tests.
    SurelySince(Level),
}

use Refused::{Since, SurelySince};

const ATTEMPTS: [(&str, Refused); 34] = [
    ("read_secret", Since(Level::Landlock)),
    ("read_by_symbolic_link", Since(Level::Landlock)),
    ("read_by_hard_link", Since(Level::Landlock)),
    ("read_by_own_root", Since(Level::Landlock)),
    ("read_by_other_root", Since(Level::Landlock)),
    ("write_outside", Since(Level::Landlock)),
    ("remove_outside", Since(Level::Landlock)),
    ("inherit_descriptors", SurelySince(Level::None)),
    ("read_environment", Since(Level::Landlock)),
    ("read_memory_file", SurelySince(Level::Landlock)),
    ("signal_host", Since(Level::Landlock)),
    ("signal_parent", Since(Level::Landlock)),
    ("trace_host", SurelySince(Level::Landlock)),
    ("connect_tcp", Since(Level::Landlock)),
    ("connect_tcp_fast", SurelySince(Level::Seccomp)),
    ("connect_mptcp", SurelySince(Level::Seccomp)),
    ("send_udp", Since(Level::Seccomp)),
    ("connect_unix_path", SurelySince(Level::Seccomp)),
    ("connect_unix_abstract", Since(Level::Landlock)),
    ("open_netlink", SurelySince(Level::Seccomp)),
    ("open_packets", SurelySince(Level::Landlock)),
    ("io_uring", SurelySince(Level::Seccomp)),
    ("trace_self", SurelySince(Level::Seccomp)),
    ("read_own_memory", Since(Level::Seccomp)),
    ("unshare", SurelySince(Level::Seccomp)),
    ("clone_namespace", SurelySince(Level::Seccomp)),
    ("clone3", SurelySince(Level::Seccomp)),
    ("mount", SurelySince(Level::Landlock)),
    ("fsopen", SurelySince(Level::Landlock)),
    ("chroot", SurelySince(Level::Seccomp)),
    ("bpf", SurelySince(Level::Seccomp)),
    ("keyctl", SurelySince(Level::Seccomp)),
    ("perf_event_open", SurelySince(Level::Seccomp)),
    ("userfaultfd", SurelySince(Level::Seccomp)),
];

/// A command that needs a level and gets no more; at no level it is not confined.
fn command(level: Level, dir: &Path, argv: &[&str]) -> Command {
    let mut command = Command::new(argv.iter().copied(), dir);
    command.supervisor = Some(PathBuf::from(env!("CARGO_BIN_EXE_specwave")));
    command.writable = vec![dir.to_owned()];
    command.level_max = level;
    command.confinement = if level == Level::None { Confinement::Off } else { Confinement::Required(level) };
    command.limits.wall = Duration::from_mins(1);
    command
}

async fn run(command: &Command) -> Finished {
    exec::run(command, &Recorder::nowhere(), &CancellationToken::new()).await.unwrap()
}

/// Every level above none that works here; the others are named, so that a test that tried less says so.
fn levels() -> Vec<Level> {
    let offer = sandbox::offered();
    if let Some(why) = &offer.why_not_more {
        println!("tried up to {} only: {why}", offer.tier.level);
    }
    assert!(offer.tier.level > Level::None || std::env::var_os("SPECWAVE_REQUIRE_SERVICES").is_none(), "no sandbox: {offer:?}");
    Level::ALL.into_iter().filter(|level| *level > Level::None && *level <= offer.tier.level).collect()
}

/// Everything outside that must stay out of reach.
struct Outside {
    dir: TempDir,
    tcp: TcpListener,
    udp: UdpSocket,
    _path: UnixListener,
    _abstract: UnixListener,
}

impl Outside {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("secret"), "s3cret").unwrap();
        let name = SocketAddr::from_abstract_name(Self::name(dir.path())).unwrap();
        Self {
            tcp: TcpListener::bind("127.0.0.1:0").unwrap(),
            udp: UdpSocket::bind("127.0.0.1:0").unwrap(),
            _path: UnixListener::bind(dir.path().join("socket")).unwrap(),
            _abstract: UnixListener::bind_addr(&name).unwrap(),
            dir,
        }
    }

    fn name(dir: &Path) -> String {
        dir.file_name().unwrap().to_string_lossy().into_owned()
    }

    async fn attacked(&self, level: Level) -> BTreeMap<String, bool> {
        fs::write(self.dir.path().join("removable"), "").unwrap();
        let dir = TempDir::new().unwrap();
        let outside = self.dir.path().to_str().unwrap();
        let (tcp, udp) = (self.tcp.local_addr().unwrap().port().to_string(), self.udp.local_addr().unwrap().port().to_string());
        let (secret, path) = (format!("{outside}/secret"), format!("{outside}/socket"));
        let (name, host) = (Self::name(self.dir.path()), std::process::id().to_string());
        let script = include_str!("escape.py");
        let argv = ["/usr/bin/python3", "-c", script, level.as_str(), &secret, outside, &host, &tcp, &udp, &path, &name];
        let finished = run(&command(level, dir.path(), &argv)).await;
        assert_eq!((finished.exit, finished.tier.level), (Exit::Code(0), level), "{}", finished.output(2_000));
        let text = finished.stdout.text();
        println!("{level}:\n{text}");
        text.lines().map(|line| line.split_once(' ').unwrap()).map(|(name, how)| (name.to_owned(), how == "done")).collect()
    }
}

#[tokio::test]
async fn no_attempt_gets_farther_than_its_level_lets_it() {
    let outside = Outside::new();
    let abi = sandbox::offered().tier.landlock_abi;
    for level in [Level::None].into_iter().chain(levels()) {
        let done = outside.attacked(level).await;
        for (name, refused) in &ATTEMPTS {
            // Landlock learned about ports and signals later than about files.
            let needs = match *name {
                "connect_tcp" => 4,
                "signal_host" | "signal_parent" | "connect_unix_abstract" => 6,
                _ => 1,
            };
            let done = done[*name];
            match refused {
                Since(from) if level < *from => assert!(done, "{name} fails at {level} already, so it shows nothing"),
                Since(from) | SurelySince(from) if level >= *from && (abi >= needs || level >= Level::Seccomp && needs == 4) => {
                    assert!(!done, "{name} succeeds at {level}");
                }
                Since(_) | SurelySince(_) => {}
            }
        }
        assert_eq!(fs::read_to_string(outside.dir.path().join("secret")).unwrap(), "s3cret");
        assert_eq!(outside.dir.path().join("written").exists(), level == Level::None);
        let _ = fs::remove_file(outside.dir.path().join("written"));
    }
}

/// A library may open a file so that every process inherits it. Reading from such a descriptor asks nobody for permission.
#[tokio::test]
async fn a_descriptor_that_is_left_open_for_all_reaches_no_command() {
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("secret"), "s3cret").unwrap();
    let file = fs::File::open(outside.path().join("secret")).unwrap();
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
    let reading = format!("import os; print(os.pread({}, 100, 0).decode())", file.as_raw_fd());
    let argv = ["/usr/bin/python3", "-c", &reading];
    let usual = std::process::Command::new(argv[0]).args(&argv[1..]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&usual.stdout), "s3cret\n", "it is open for all");
    for level in [Level::None].into_iter().chain(levels()) {
        let dir = TempDir::new().unwrap();
        let finished = run(&command(level, dir.path(), &argv)).await;
        assert_eq!((finished.exit, finished.stdout.text()), (Exit::Code(1), String::new()), "{level}");
        assert!(finished.stderr.text().contains("Bad file descriptor"), "{level}: {}", finished.output(500));
    }
}

/// The processes that have this in their command line.
fn marked(marker: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| String::from_utf8(fs::read(entry.path().join("cmdline")).ok()?).ok());
    lines.filter(|line| line.contains(marker) && !line.contains("__supervise")).collect()
}

/// So many and no more: without a limit in the kernel, which root's processes do not have, an endless bomb outruns the samples and takes
/// the machine with it.
#[tokio::test]
async fn too_many_processes_are_ended_and_none_is_left() {
    for level in levels() {
        let dir = TempDir::new().unwrap();
        let marker = format!("marker-{}", Outside::name(dir.path()));
        let script = r#"n=0; while [ $n -lt 150 ]; do n=$((n+1)); sh -c 'sleep 30; :' "$0" & done; wait"#;
        let mut many = command(level, dir.path(), &["sh", "-c", script, &marker]);
        many.limits.processes = 64;
        let finished = run(&many).await;
        // Below the kernel's limit the shell gives up by itself.
        let refused = !rustix::process::getuid().is_root() && finished.exit == Exit::Code(2);
        assert!(finished.exit == Exit::Limit(Limit::Processes) || refused, "{level}: {}: {}", finished.exit, finished.output(500));
        assert_eq!(marked(&marker), Vec::<String>::new(), "{level}");
    }
}

#[tokio::test]
async fn a_daemon_is_ended_with_its_command() {
    for level in levels() {
        let dir = TempDir::new().unwrap();
        let marker = format!("marker-{}", Outside::name(dir.path()));
        let script = r#"(setsid sh -c '(setsid sh -c "trap \"\" TERM HUP; touch up; while :; do sleep 0.1; done" "$0" &) ' "$0" &)
            while ! [ -e up ]; do sleep 0.02; done"#;
        let finished = run(&command(level, dir.path(), &["sh", "-c", script, &marker])).await;
        assert!(finished.exit.success(), "{level}: {}", finished.output(500));
        assert_eq!(marked(&marker), Vec::<String>::new(), "{level}");
    }
}

#[tokio::test]
async fn a_full_disk_is_prevented() {
    let named = "n=0; while :; do n=$((n+1)); head -c 1000000 /dev/zero > $PLACE/file$n; done";
    let unnamed = "exec 3>$PLACE/file; rm $PLACE/file; while :; do head -c 1000000 /dev/zero >&3; done";
    for level in levels() {
        let mut cases = vec![(named, "."), (unnamed, "."), (named, "$TMPDIR")];
        if level == Level::Bubblewrap {
            cases.push((named, "/tmp"));
        }
        for (script, place) in cases {
            let dir = TempDir::new().unwrap();
            let mut filling = command(level, dir.path(), &["sh", "-c", &script.replace("$PLACE", place)]);
            filling.limits.disk_bytes = 50_000_000;
            let finished = run(&filling).await;
            assert_eq!(finished.exit, Exit::Limit(Limit::Disk), "{level}: {script} in {place}: {}", finished.output(500));
        }
    }
}

#[tokio::test]
async fn a_command_that_needs_more_is_refused_and_one_that_is_free_says_so() {
    let dir = TempDir::new().unwrap();
    let offered = sandbox::offered().tier.level;
    let mut free = command(Level::None, dir.path(), &["cat", "/etc/hostname"]);
    let finished = run(&free).await;
    assert_eq!(finished.tier, sandbox::Tier::default());
    assert!(finished.tier.to_string().starts_with("not confined"));

    free.level_max = Level::Landlock.min(offered);
    free.confinement = Confinement::Required(Level::Seccomp);
    let error = exec::run(&free, &Recorder::nowhere(), &CancellationToken::new()).await.unwrap_err();
    let ExecError::Unconfined { reason, .. } = &error else { panic!("{error}") };
    assert!(reason.starts_with(&format!("it needs the sandbox level seccomp and would get {}", free.level_max)), "{reason}");
    assert!(error.hint().contains("doctor") && error.hint().contains("--no-sandbox"), "{}", error.hint());

    // Whoever takes a weaker one is told which it was; and what was never confined is not by that.
    free.confinement = free.confinement.or_weaker(true);
    assert_eq!(run(&free).await.tier.level, free.level_max);
    assert_eq!(Confinement::Off.or_weaker(true), Confinement::Off);

    // Without a word about it nothing runs unconfined.
    let mut silent = Command::new(["true"], dir.path());
    silent.supervisor.clone_from(&free.supervisor);
    silent.level_max = Level::None;
    assert!(matches!(exec::run(&silent, &Recorder::nowhere(), &CancellationToken::new()).await, Err(ExecError::Unconfined { .. })));
}

#[tokio::test]
async fn what_builds_and_tests_need_goes_on_working() {
    let script = r#"
import asyncio, socket, sqlite3, subprocess, sys, tempfile, threading
async def main():
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(7)", stdout=subprocess.PIPE)
    return (await process.communicate())[0]
assert asyncio.run(main()) == b"7\n"
thread = threading.Thread(target=print, args=("thread",)); thread.start(); thread.join()
a, b = socket.socketpair(); a.send(b"x"); assert b.recv(1) == b"x"
sqlite3.connect("data.db").execute("create table t (x)")
tempfile.NamedTemporaryFile().write(b"x")
"#;
    // The system's own settings of git are out of reach, which git takes for an error.
    let git = "export GIT_CONFIG_NOSYSTEM=1; git init -q . && git -c user.name=n -c user.email=e@e add -A . && git -c user.name=n -c user.email=e@e commit -q --allow-empty -m m && git log --oneline";
    let node = "if command -v node >/dev/null; then node -e 'require(\"fs\").promises.writeFile(\"n\", \"x\").then(() => console.log(require(\"child_process\").execSync(\"echo child\").toString()))'; fi";
    for level in levels() {
        let dir = TempDir::new().unwrap();
        for argv in [["/usr/bin/python3", "-c", script], ["sh", "-c", git], ["sh", "-c", node]] {
            let finished = run(&command(level, dir.path(), &argv)).await;
            assert!(finished.exit.success(), "{level}: {}", finished.output(2_000));
        }
    }
}

/// What is different inside bubblewrap: it stands between the supervisor and the command.
#[tokio::test]
async fn inside_bubblewrap_commands_end_as_they_do_outside() {
    if sandbox::offered().tier.level < Level::Bubblewrap {
        println!("skipped: {:?}", sandbox::offered().why_not_more);
        return;
    }
    let dir = TempDir::new().unwrap();
    let shell = |script: &str| command(Level::Bubblewrap, dir.path(), &["sh", "-c", script]);
    assert_eq!(run(&shell("exit 7")).await.exit, Exit::Code(7));
    assert_eq!(run(&shell("kill -KILL $$")).await.exit, Exit::Signal(9));
    let mut busy = shell("while :; do :; done");
    busy.limits.cpu_secs = 1;
    assert_eq!(run(&busy).await.exit, Exit::Limit(Limit::CpuTime));
    let env = run(&shell("env; id -u; ls /; ps 2>/dev/null | wc -l").env("GIVEN", "yes")).await.stdout.text();
    assert!(env.contains("GIVEN=yes\n") && !env.contains("CARGO"), "{env}");

    let missing = exec::run(&command(Level::Bubblewrap, dir.path(), &["no-such-program"]), &Recorder::nowhere(), &CancellationToken::new())
        .await
        .unwrap_err();
    assert!(missing.to_string().starts_with("cannot run no-such-program"), "{missing}");
    let script = dir.path().join("broken");
    fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let broken =
        exec::run(&command(Level::Bubblewrap, dir.path(), &[script.to_str().unwrap()]), &Recorder::nowhere(), &CancellationToken::new())
            .await
            .unwrap_err();
    assert!(matches!(broken, ExecError::Refused { .. }), "{broken}");

    let service =
        exec::start(&shell("trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done"), &Recorder::nowhere()).await.unwrap();
    while !service.output().0.text().contains("ready") {
        tokio::task::yield_now().await;
    }
    let finished = service.stop().await.unwrap();
    assert_eq!((finished.exit, finished.stdout.text()), (Exit::Code(3), "ready\nbye\n".into()));
}
