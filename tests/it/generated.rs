//! The generated projects of the examples: their own linters, type checker and tests, on SQLite and on PostgreSQL.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use specwave::exec::environment::{Environment, EnvironmentError, Installer};
use specwave::exec::{self, Command, Network, Recorder};
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
        Self::after(document, &Prior::default()).await
    }

    /// The same, carrying on from an earlier delivery.
    async fn after(document: &SpecDocument, prior: &Prior) -> Option<Self> {
        let pack = TargetPack::load("fastapi").unwrap();
        let mut installer = Installer::new(Installation::shared().data_dir()).inherit(std::env::vars());
        installer.supervisor = Some(supervisor());
        let environment = match installer.prepare(pack.name(), pack.lock(), &Recorder::nowhere(), &CancellationToken::new()).await {
            Err(error @ EnvironmentError::Unreachable { .. }) if std::env::var_os("SPECWAVE_REQUIRE_SERVICES").is_none() => {
                println!("skipped: {error}");
                return None;
            }
            prepared => prepared.unwrap(),
        };
        let dir = TempDir::new().unwrap();
        write_project(document, dir.path(), prior);
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
            weaker_sandbox: false,
            supervisor: Some(supervisor()),
        }
    }
}

/// The files below a project's root that an earlier delivery leaves for the next one.
fn prior(root: &Path) -> Prior {
    let mut prior = Prior::default();
    for name in ["migrations/tables.json", "migrations/versions/0001_initial.py"] {
        prior.files.insert(name.to_owned(), std::fs::read(root.join(name)).unwrap());
    }
    prior
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
        running.spawn(async move { (name, exec::run(&command, &Recorder::nowhere(), &CancellationToken::new()).await.unwrap()) });
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

/// Makes an author, a book and a review through the service of the first version.
const ROWS: &str = r#"
from fastapi.testclient import TestClient
from bookstore.app import create_app
client = TestClient(create_app())
author = client.post("/authors", json={"name": "Ann", "biography": "long"}).json()
book = {"title": "T", "isbn": "9780000000001", "price": 3.5, "author_id": author["id"]}
book = client.post("/books", json=book).json()
assert client.post(f"/books/{book['id']}/reviews", json={"reader": "r", "rating": 4}).status_code == 201
"#;

/// What the service of the second version must find.
const KEPT: &str = r#"
from fastapi.testclient import TestClient
from bookstore.app import create_app
client = TestClient(create_app())
[author] = client.get("/authors").json()["items"]
assert (author["name"], author["website"], author["famous"], "biography" in author) == ("Ann", None, False, False)
[book] = client.get("/books").json()["items"]
assert (book["isbn"], book["publisher_id"]) == ("9780000000001", None)
assert client.get(f"/books/{book['id']}/reviews").json()["total"] == 1
publisher = client.post("/publishers", json={"name": "P"}).json()
changed = client.patch(f"/books/{book['id']}", json={"publisher_id": publisher["id"]})
assert changed.json()["publisher_id"] == publisher["id"], changed.text
"#;

/// The bookstore with a field dropped and others added, one of them required, and with a new entity.
fn changed_bookstore() -> SpecDocument {
    let publisher = "### Publisher\n\nWho prints books.\n\n| field | type | rules |\n| --- | --- | --- |\n\
                     | name | string | required, unique, length 1..120 |\n\n### Review\n";
    let mut text = include_str!("../../examples/bookstore.md").to_owned();
    for (from, to) in [
        ("| biography | text | length 0..5000 |\n", "| website | url | |\n| famous | boolean | required, default false |\n"),
        ("| published_on | date | |\n", "| published_on | date | |\n| publisher | ref(Publisher) | on delete set null |\n"),
        ("### Review\n", publisher),
        ("| GET | /reviews/{id} |", "| POST | /publishers | create | Publisher |\n| GET | /reviews/{id} |"),
    ] {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    read(text.as_bytes(), "bookstore.md")
}

#[tokio::test]
async fn a_changed_specification_upgrades_a_database_with_rows_in_it() {
    let Some(first) = Generated::of(&example("bookstore.md")).await else { return };
    let earlier = prior(first.dir.path());
    let second = Generated::after(&changed_bookstore(), &earlier).await.unwrap();
    let initial = "migrations/versions/0001_initial.py";
    assert_eq!(std::fs::read(second.dir.path().join(initial)).unwrap(), earlier.files[initial], "a migration is never rewritten");
    let data = TempDir::new().unwrap();
    let url = format!("sqlite:///{}/rows.db", data.path().display());
    let alembic = |words: &[&str]| ["{env}/bin/python", "-m", "alembic"].iter().chain(words).map(|word| (*word).to_owned()).collect();
    let python = |text: &str| vec!["{env}/bin/python".to_owned(), "-c".to_owned(), text.to_owned()];
    let steps: [(&Generated, Vec<String>); 7] = [
        (&first, alembic(&["upgrade", "head"])),
        (&first, python(ROWS)),
        (&second, alembic(&["upgrade", "head"])),
        (&second, python(KEPT)),
        (&second, alembic(&["check"])),
        (&second, alembic(&["downgrade", "0001"])),
        (&first, alembic(&["check"])),
    ];
    for (project, words) in steps {
        let mut command = project.command(&words).env("DATABASE_URL", &url);
        command.writable.push(data.path().to_owned());
        let finished = exec::run(&command, &Recorder::nowhere(), &CancellationToken::new()).await.unwrap();
        assert!(finished.exit.success(), "{words:?}: {}", finished.output(8_000));
    }
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
    let finished = exec::run(&command, &Recorder::nowhere(), &CancellationToken::new()).await.unwrap();
    assert!(finished.exit.success(), "{}", finished.output(8_000));
    // A server that stays up, as on a machine that is too busy to stop it in time, is adopted by whoever needs it next.
    if let Err(error) = server.leave().await {
        println!("{error}");
    }
}
