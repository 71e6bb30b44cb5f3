//! The generated projects of the examples: their own linters, type checker and tests, on SQLite and on PostgreSQL.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use specwave::exec::environment::{Environment, EnvironmentError, Installer};
use specwave::exec::{self, Command, Network};
use specwave::generate::{Prior, TargetPack};
use specwave::model::SpecDocument;
use specwave::pipeline::probe::ServicePlan;
use specwave::store::postgres::Managed;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::installation::Installation;
use crate::probe::read;

/// How long one check of a generated project may take on a busy machine.
const CHECK_MAX: Duration = Duration::from_mins(15);

/// A generated project with what it needs to be checked and started.
pub(crate) struct Generated {
    pub(crate) dir: TempDir,
    pack: TargetPack,
    package: String,
    environment: Environment,
}

impl Generated {
    /// Generates and installs; none, after a line that says so, where the package index is out of reach and nobody insists.
    pub(crate) async fn of(document: &SpecDocument) -> Option<Self> {
        let pack = TargetPack::load("fastapi").unwrap();
        let mut installer = Installer::new(Installation::shared().data_dir()).inherit(std::env::vars());
        installer.supervisor = Some(supervisor());
        let environment = match installer.prepare(pack.name(), pack.lock(), &CancellationToken::new()).await {
            Err(error @ EnvironmentError::Unreachable { .. }) if std::env::var_os("SPECWAVE_REQUIRE_SERVICES").is_none() => {
                println!("skipped: {error}");
                return None;
            }
            prepared => prepared.unwrap(),
        };
        let dir = TempDir::new().unwrap();
        write_project(document, dir.path(), &Prior::default());
        Some(Self { package: pack.package(document), dir, pack, environment })
    }

    fn filled(&self, words: &[String]) -> Vec<String> {
        let env = self.environment.dir.to_string_lossy();
        words.iter().map(|word| word.replace("{env}", &env).replace("{package}", &self.package)).collect()
    }

    /// A command of the pack in the project.
    fn command(&self, words: &[String]) -> Command {
        let mut command = Command::new(self.filled(words), self.dir.path());
        command.env.extend(self.pack.commands().environment.clone());
        command.readable.clone_from(&self.environment.readable);
        command.writable.push(self.dir.path().to_owned());
        command.supervisor = Some(supervisor());
        command.limits.wall = CHECK_MAX;
        command.limits.cpu_secs = CHECK_MAX.as_secs();
        command
    }

    /// How the probe starts the service.
    pub(crate) fn service(&self) -> ServicePlan {
        let commands = self.pack.commands();
        ServicePlan {
            dir: self.dir.path().to_owned(),
            migrate: self.filled(&commands.migrate),
            start: self.filled(&commands.start),
            env: commands.environment.clone(),
            readable: self.environment.readable.clone(),
            ready_path: commands.health_ready.clone(),
            live_path: commands.health_live.clone(),
            openapi_path: commands.openapi.clone(),
            wall: Duration::from_mins(10),
            supervisor: Some(supervisor()),
        }
    }
}

fn supervisor() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_specwave"))
}

pub(crate) fn example(name: &str) -> SpecDocument {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
    read(&std::fs::read(path).unwrap(), name)
}

/// Writes every generated file of `doc` below `root`.
pub(crate) fn write_project(doc: &SpecDocument, root: &Path, prior: &Prior) {
    let pack = TargetPack::load("fastapi").unwrap();
    for blueprint in pack.blueprints(doc).unwrap().iter().filter(|blueprint| blueprint.waiting.is_none()) {
        for file in pack.generate(doc, &blueprint.key, prior).unwrap() {
            let path = root.join(&file.path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file.content).unwrap();
        }
    }
}

/// Every check of the pack passes on the generated project, and its tests reach enough of it.
async fn check(name: &str) {
    let document = example(name);
    let Some(generated) = Generated::of(&document).await else { return };
    let mut running = JoinSet::new();
    for check in &generated.pack.commands().project_checks {
        let (name, command) = (check.name.clone(), generated.command(&check.command));
        running.spawn(async move { (name, exec::run(&command, &CancellationToken::new()).await.unwrap()) });
    }
    let finished = running.join_all().await;
    let failed: Vec<String> = finished
        .iter()
        .filter(|(_, finished)| !finished.exit.success())
        .map(|(check, finished)| format!("{check}: {}\n{}", finished.exit, finished.output(8_000)))
        .collect();
    assert!(failed.is_empty(), "{name}: {}", failed.join("\n"));
    assert!(finished.len() >= 4, "linter, formatter, type checker, tests");
    let tests = generated.pack.commands().project_checks.iter().find(|check| check.coverage.is_some()).unwrap();
    let report = std::fs::read(generated.dir.path().join(tests.coverage.as_ref().unwrap())).unwrap();
    let covered = serde_json::from_slice::<Value>(&report).unwrap()["totals"]["percent_covered"].as_f64().unwrap();
    assert!(covered >= f64::from(tests.coverage_min.unwrap()), "{name}: {covered} % covered");
    println!("{name}: {covered:.1} % covered");
}

#[tokio::test]
async fn the_bookstore_passes_its_own_checks() {
    check("bookstore.md").await;
}

#[tokio::test]
async fn the_clinic_passes_its_own_checks() {
    check("clinic.md").await;
}

#[tokio::test]
async fn the_shop_passes_its_own_checks() {
    check("commerce.md").await;
}

#[tokio::test]
async fn the_clinic_passes_its_tests_on_postgresql() {
    let Some(generated) = Generated::of(&example("clinic.md")).await else { return };
    let server = Managed::start(Installation::shared().data_dir(), false).await.unwrap();
    let url = server.fresh_database("generated_clinic").await.unwrap();
    let words = ["{env}/bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider"].map(str::to_owned);
    let mut command = generated.command(&words).env("TEST_DATABASE_URL", &url);
    command.network = Network::Any;
    let finished = exec::run(&command, &CancellationToken::new()).await.unwrap();
    server.leave().await.unwrap();
    assert!(finished.exit.success(), "{}", finished.output(8_000));
}
