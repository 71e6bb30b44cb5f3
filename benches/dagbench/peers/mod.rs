//! Other durable engines beside ours, in the same run on the same machine: each executes the same plans, by an adapter that is called like all
//! others (`dag.mjs` says how), and writes down each execution. Ours is one of them, in a process of its own.
//!
//! The time is that of one workflow, from its submission by a client that is connected and warm to its durable end. Who is first changes from
//! round to round.

mod call;
mod dag;
pub mod ours;
mod servers;
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use call::Call;
use dag::Dag;
use rustix::process::Pid;
use servers::{Databases, Server};
use specwave::config::Config;
use table::Rounds;

use crate::measure::Table;
use crate::shapes::{self, Shape};
use crate::{Bench, WORK};

/// How often each executes the plan of the goal, and the other plans.
const ROUNDS: usize = 5;
const ROUNDS_OTHER: usize = 3;
const ROUNDS_KILLED: usize = 3;
/// A client is killed after so many units of 1,000: half of them, and half of a layer, so that something is under way.
const KILLED_AFTER: usize = 525;

/// The engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Ours,
    RestateRun,
    RestateCall,
    Graphile,
    Dbos,
    Prefect,
}

impl Peer {
    const ALL: [Self; 6] = [Self::Ours, Self::RestateRun, Self::RestateCall, Self::Graphile, Self::Dbos, Self::Prefect];

    fn name(self) -> &'static str {
        match self {
            Self::Ours => "specwave",
            Self::RestateRun => "Restate, steps of one handler",
            Self::RestateCall => "Restate, a call for each unit",
            Self::Graphile => "graphile-worker, a job for each unit",
            Self::Dbos => "DBOS, steps of one workflow",
            Self::Prefect => "Prefect, tasks of one flow",
        }
    }

    /// What is on disk when its clock stops.
    fn durable(self) -> &'static str {
        match self {
            Self::Ours => "durable: the plan, the end of each unit and of the run, committed in PostgreSQL",
            Self::RestateRun => "durable: the result of each step and of the workflow, in its log, synced",
            Self::RestateCall => "durable: each invocation, its result and the workflow's, in its log, synced",
            Self::Graphile => "durable: the plan and the end of each unit, committed in PostgreSQL; that a job is done may follow",
            Self::Dbos => "durable: the result of each step and of the workflow, committed in PostgreSQL",
            Self::Prefect => {
                "durable: the state of the flow, committed in PostgreSQL; results of tasks are files that nobody syncs, states of tasks may follow"
            }
        }
    }

    fn postgres(self) -> bool {
        !matches!(self, Self::RestateRun | Self::RestateCall)
    }
}

/// True when this process is our adapter, not the benchmark.
pub fn adapter() -> bool {
    std::env::var_os(ours::VARIABLE).is_some()
}

/// All rows, or a line that says why there are none. Interrupted, it takes the servers down first, which are not of the terminal's group.
pub async fn measure(bench: &Bench, table: &mut Table, config: &Config) {
    tokio::select! {
        () = rows(bench, table, config) => {}
        _ = tokio::signal::ctrl_c() => std::process::exit(130),
    }
}

async fn rows(bench: &Bench, table: &mut Table, config: &Config) {
    let shapes = [
        (shapes::layered(20, 50), Duration::ZERO, ROUNDS),
        (shapes::layered(20, 50), WORK, ROUNDS),
        (shapes::chain(1_000), Duration::ZERO, ROUNDS_OTHER),
        (shapes::fan(1_000), Duration::ZERO, ROUNDS_OTHER),
        (shapes::random(1_000, 20), Duration::ZERO, ROUNDS_OTHER),
        (shapes::wide(10_000), Duration::ZERO, ROUNDS_OTHER),
    ];
    let wanted = |name: &dyn Fn(Peer) -> String| -> Vec<Peer> { Peer::ALL.into_iter().filter(|peer| bench.wanted(&name(*peer))).collect() };
    let any = shapes.iter().any(|(shape, work, _)| !wanted(&|peer| row(shape, *work, peer)).is_empty());
    if !any && wanted(&killed_row).is_empty() {
        return;
    }
    let mut site = match Site::open(config).await {
        Ok(site) => site,
        Err(reason) => {
            eprintln!("other engines are not measured: {reason}");
            table.note(format!("Other engines were not measured: {reason}."));
            return;
        }
    };
    for (at, (shape, work, rounds)) in shapes.iter().enumerate() {
        let peers = wanted(&|peer| row(shape, *work, peer));
        let mut measured: Vec<_> = peers.iter().map(|peer| Rounds::new(*peer)).collect();
        let dag = Dag::new(shape, *work);
        for round in 0..*rounds {
            let turn = usize::from(round > 0 && measured.len() > 1);
            measured.rotate_left(turn);
            for rounds in measured.iter_mut().filter(|rounds| rounds.failed.is_none()) {
                site.execute(bench, &dag, rounds).await;
            }
        }
        for peer in peers {
            let rounds = measured.iter_mut().find(|rounds| rounds.peer == peer).expect("each of them is in it");
            let durable = if at == 0 { peer.durable() } else { "" };
            rounds.add_to(table, row(shape, *work, peer), &dag, durable);
        }
    }
    site.killed(table, &wanted(&killed_row)).await;
    site.close().await;
    table.note(
        "Rows that begin with “peers” are of whole workflows, each in a client process of its own: from the submission, the plan included, to the \
         durable end. Servers and clients were warm. Memory is the most that the engine's processes had resident, PostgreSQL's apart.",
    );
}

fn row(shape: &Shape, work: Duration, peer: Peer) -> String {
    let work = if work.is_zero() { "no work".to_owned() } else { format!("{} ms of work each", work.as_millis()) };
    format!("peers, {}, {work}: {}", shape.name, peer.name())
}

fn killed_row(peer: Peer) -> String {
    format!("peers, 20×50, {} ms of work each, killed half way, from the restart to the end: {}", WORK.as_millis(), peer.name())
}

/// Everything that the adapters need.
struct Site {
    installed: PathBuf,
    scratch: tempfile::TempDir,
    databases: Databases,
    graphile: String,
    dbos: String,
    restate: Server,
    prefect: Server,
    /// Where Restate finds the service: the same after a crash.
    service_port: u16,
    calls: usize,
}

impl Site {
    async fn open(config: &Config) -> Result<Self, String> {
        let installed = servers::installed().ok_or("set them up with scripts/setup-peers")?;
        let scratch = tempfile::tempdir().unwrap();
        let mut databases = Databases::new(config)?;
        let (graphile, dbos) = (databases.make("graphile").await?, databases.make("dbos").await?);
        let prefect = Server::prefect(&installed, scratch.path(), &databases.make("prefect").await?).await?;
        let restate = Server::restate(&installed, scratch.path()).await?;
        let [service_port] = servers::free_ports();
        Ok(Self { installed, scratch, databases, graphile, dbos, restate, prefect, service_port, calls: 0 })
    }

    async fn close(self) {
        drop((self.restate, self.prefect));
        self.databases.drop_all().await;
    }

    fn server(&self, peer: Peer) -> Option<Pid> {
        match peer {
            Peer::RestateRun | Peer::RestateCall => Some(self.restate.group),
            Peer::Prefect => Some(self.prefect.group),
            Peer::Ours | Peer::Graphile | Peer::Dbos => None,
        }
    }

    /// A call of the adapter.
    fn command(&self, peer: Peer) -> Command {
        let adapters = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/dagbench/peers");
        let (node, python) = (self.installed.join("bin/node"), self.installed.join("python/bin/python"));
        let script = |program: PathBuf, adapter: &str| {
            let mut command = Command::new(program);
            command.arg(adapters.join(adapter)).env("DAGBENCH_PEERS", &self.installed).env("PYTHONDONTWRITEBYTECODE", "1");
            command
        };
        let mut command = match peer {
            Peer::Ours => Command::new(std::env::current_exe().unwrap()),
            Peer::RestateRun | Peer::RestateCall => script(node, "restate_dag.mjs"),
            Peer::Graphile => script(node, "graphile_dag.mjs"),
            Peer::Dbos => script(python, "dbos_dag.py"),
            Peer::Prefect => script(python, "prefect_dag.py"),
        };
        match peer {
            Peer::Ours => command.env(ours::VARIABLE, "1"),
            Peer::RestateRun | Peer::RestateCall => command
                .env("DAGBENCH_RESTATE", if peer == Peer::RestateRun { "run" } else { "call" })
                .env("DAGBENCH_INGRESS", format!("http://127.0.0.1:{}", self.restate.port))
                .env("DAGBENCH_ADMIN", format!("http://127.0.0.1:{}", self.restate.admin_port))
                .env("DAGBENCH_PORT", self.service_port.to_string()),
            Peer::Graphile => command.env("DAGBENCH_DATABASE_URL", &self.graphile),
            Peer::Dbos => command.env("DAGBENCH_DATABASE_URL", &self.dbos),
            Peer::Prefect => command
                .env("PREFECT_HOME", self.scratch.path().join("prefect"))
                .env("PREFECT_API_URL", format!("http://127.0.0.1:{}/api", self.prefect.port))
                .env("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
                .env("PREFECT_LOGGING_TO_API_ENABLED", "false")
                .env("PREFECT_LOGGING_LEVEL", "ERROR"),
        };
        command
    }

    /// The files of a new workflow: the plan, the executions, the complaints; and its name.
    fn workflow(&mut self, dag: &Dag) -> (PathBuf, PathBuf, PathBuf, String) {
        self.calls += 1;
        let file = |name: &str| self.scratch.path().join(format!("{name}-{}", self.calls));
        let (plan, executions, complaints) = (file("dag"), file("executions"), file("complaints"));
        std::fs::write(&plan, serde_json::to_vec(dag).unwrap()).unwrap();
        (plan, executions, complaints, format!("bench-{}-{}", std::process::id(), self.calls))
    }

    /// One round of one engine.
    async fn execute(&mut self, bench: &Bench, dag: &Dag, rounds: &mut Rounds) {
        if let Err(reason) = self.try_execute(bench, dag, rounds).await {
            rounds.failed = Some(reason);
            self.forget(rounds.peer).await;
        }
    }

    async fn try_execute(&mut self, bench: &Bench, dag: &Dag, rounds: &mut Rounds) -> Result<(), String> {
        let (plan, executions, complaints, workflow) = self.workflow(dag);
        let mut command = self.command(rounds.peer);
        let mut call = Call::start(command.arg(plan).arg(&workflow).arg(&executions), &complaints);
        call.ready().await?;
        let before = bench.ledger.read().await;
        rounds.walls.push(call.execute().await?);
        if rounds.peer.postgres() {
            rounds.written.push(bench.ledger.read().await - before);
        }
        let memory = (call.peak_memory_kib(), self.server(rounds.peer).map_or(0, call::peak_memory_kib));
        rounds.memory_kib = rounds.memory_kib.max(memory);
        call.end().await;
        rounds.lags.extend(dag.lags(&executions));
        Ok(())
    }

    /// Leaves behind what an unfinished workflow left: otherwise the next call would go on with it.
    async fn forget(&mut self, peer: Peer) {
        self.calls += 1;
        let name = format!("{}_{}", if peer == Peer::Dbos { "dbos" } else { "graphile" }, self.calls);
        match peer {
            Peer::Graphile => self.graphile = self.databases.make(&name).await.unwrap(),
            Peer::Dbos => self.dbos = self.databases.make(&name).await.unwrap(),
            Peer::RestateRun | Peer::RestateCall => {
                let folder = self.scratch.path().join(format!("restate-{}", self.calls));
                self.restate = Server::restate(&self.installed, &folder).await.unwrap();
            }
            // Nobody but the client of a flow goes on with it.
            Peer::Ours | Peer::Prefect => {}
        }
    }

    /// Kills each engine's client half way and starts it again at once; its server and the database go on.
    async fn killed(&mut self, table: &mut Table, peers: &[Peer]) {
        let dag = Dag::new(&shapes::layered(20, 50), WORK);
        for peer in peers {
            let (mut times, mut repeated, mut failed) = (Vec::new(), Vec::new(), None);
            for _ in 0..ROUNDS_KILLED {
                match self.kill(*peer, &dag).await {
                    Ok((time, again)) => {
                        times.push(time);
                        repeated.push(again.to_string());
                    }
                    Err(reason) => {
                        failed = Some(reason);
                        self.forget(*peer).await;
                        break;
                    }
                }
            }
            let again = format!("units executed again: {}; the start of the program is included", repeated.join(", "));
            let remarks = [failed, (!times.is_empty()).then_some(again)];
            table.add(killed_row(*peer), times, remarks.into_iter().flatten().collect::<Vec<_>>().join("; "));
        }
    }

    async fn kill(&mut self, peer: Peer, dag: &Dag) -> Result<(Duration, usize), String> {
        let (plan, executions, complaints, workflow) = self.workflow(dag);
        let mut call = Call::start(self.command(peer).arg(&plan).arg(&workflow).arg(&executions), &complaints);
        call.ready().await?;
        call.go().await;
        call.reach(&executions, KILLED_AFTER).await?;
        call.kill().await;
        if dag::executed(&executions) >= dag.units.len() {
            return Err("it was done before it could be killed".to_owned());
        }
        let restarted = Instant::now();
        let mut command = self.command(peer);
        let mut call = Call::start(command.env("DAGBENCH_WARM", "no").arg(&plan).arg(&workflow).arg(&executions), &complaints);
        call.ready().await?;
        call.execute().await?;
        let time = restarted.elapsed();
        call.end().await;
        Ok((time, dag.repeated(&executions)?))
    }
}
