//! The probe against what the generator makes: the two must agree on what every specification demands.

use std::path::{Path, PathBuf};
use std::time::Duration;

use specwave::exec::environment::{EnvironmentError, Installer};
use specwave::generate::{Prior, TargetPack};
use specwave::model::SpecDocument;
use specwave::pipeline::probe::{ServicePlan, probe};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::generated::write_project;
use crate::probe::{failures, read, skipped};

/// Where environments are kept between test runs.
fn data_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("data")
}

async fn check(document: &SpecDocument) {
    let pack = TargetPack::load("fastapi").unwrap();
    let supervisor = Some(PathBuf::from(env!("CARGO_BIN_EXE_specwave")));
    let mut installer = Installer::new(data_dir()).inherit(std::env::vars());
    installer.supervisor.clone_from(&supervisor);
    let environment = match installer.prepare(pack.name(), pack.lock(), &CancellationToken::new()).await {
        Err(error @ EnvironmentError::Unreachable { .. }) => return println!("skipped: {error}"),
        prepared => prepared.unwrap(),
    };
    let root = TempDir::new().unwrap();
    write_project(document, root.path(), &Prior::default());
    let package = std::fs::read_dir(root.path().join("src")).unwrap().next().unwrap().unwrap().file_name().into_string().unwrap();
    let words = |words: &[String]| -> Vec<String> {
        let filled = |word: &String| word.replace("{env}", &environment.dir.to_string_lossy()).replace("{package}", &package);
        words.iter().map(filled).collect()
    };
    let commands = pack.commands();
    let plan = ServicePlan {
        dir: root.path().to_owned(),
        migrate: words(&commands.migrate),
        start: words(&commands.start),
        env: commands.environment.clone(),
        readable: environment.readable.clone(),
        ready_path: commands.health_ready.clone(),
        live_path: commands.health_live.clone(),
        openapi_path: commands.openapi.clone(),
        wall: Duration::from_mins(10),
        supervisor,
    };
    let report = probe(document, &plan, &CancellationToken::new()).await.unwrap();
    println!("{}: {} calls, ready after {} ms, {}", document.title, report.calls.len(), report.ready_ms, report.confinement);
    assert_eq!(failures(&report), Vec::<String>::new(), "{}", document.title);
    assert_eq!(skipped(&report), Vec::<String>::new(), "{}", document.title);
}

#[tokio::test]
async fn the_generated_bookstore_passes() {
    check(&read(&std::fs::read("examples/bookstore.md").unwrap(), "bookstore.md")).await;
}

#[tokio::test]
async fn generated_services_of_real_documents_pass() {
    let Some(inputs) = std::env::var_os("SPECWAVE_REAL_INPUTS") else {
        return println!("skipped: SPECWAVE_REAL_INPUTS is not set");
    };
    for name in ["petstore.yaml", "petstore-expanded.yaml", "realworld.yaml"] {
        let path = Path::new(&inputs).join("openapi").join(name);
        check(&read(&std::fs::read(path).unwrap(), name)).await;
    }
}
