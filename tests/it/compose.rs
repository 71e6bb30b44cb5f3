//! `docker-compose.yml` and `Dockerfile` say the same as the code, the scripts and the README: versions, variables, no secret.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use regex::Regex;
use serde::Deserialize;

#[derive(Deserialize)]
struct Compose {
    services: BTreeMap<String, Service>,
    volumes: BTreeMap<String, Option<BTreeMap<String, String>>>,
}

#[derive(Deserialize)]
struct Service {
    image: Option<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    ports: Vec<String>,
    volumes: Vec<String>,
    healthcheck: HealthCheck,
}

#[derive(Deserialize)]
struct HealthCheck {
    test: Vec<String>,
    interval: String,
    retries: u32,
}

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn compose() -> Compose {
    serde_saphyr::from_str(&read("docker-compose.yml")).unwrap()
}

/// The environment variables that the settings know.
fn known_variables() -> BTreeSet<String> {
    let config = read("src/config/layers.rs");
    let table = config.split_once("const ENVIRONMENT").unwrap().1.split_once("];").unwrap().0;
    let variable = Regex::new(r#"\("([A-Z0-9_]+)", "[a-z_.]+"\)"#).unwrap();
    variable.captures_iter(table).map(|found| found[1].to_owned()).collect()
}

/// Names in `${NAME...}`, each with what follows it.
fn interpolations(text: &str) -> Vec<(String, String)> {
    let variable = Regex::new(r"\$\{([A-Z0-9_]+)([^}]*)\}").unwrap();
    variable.captures_iter(text).map(|found| (found[1].to_owned(), found[2].to_owned())).collect()
}

#[test]
fn every_store_is_there_with_a_pinned_version_a_check_and_a_volume() {
    let compose = compose();
    let names: Vec<&str> = compose.services.keys().map(String::as_str).collect();
    assert_eq!(names, ["neo4j", "postgres", "qdrant", "redis", "specwave"]);
    let pinned = Regex::new(r"^[a-z0-9/]+:v?\d+\.\d+(\.\d+)?$").unwrap();
    for (name, service) in &compose.services {
        assert_eq!(service.image.is_none(), name == "specwave", "{name}");
        assert!(service.image.iter().all(|image| pinned.is_match(image)), "{name}: {:?}", service.image);
        assert!(
            !service.healthcheck.test.is_empty() && !service.healthcheck.interval.is_empty() && service.healthcheck.retries > 1,
            "{name}"
        );
        assert!(service.volumes.iter().any(|volume| volume.starts_with(&format!("{name}:/"))), "{name} keeps nothing");
        assert!(compose.volumes.contains_key(name));
        for port in &service.ports {
            assert!(port.starts_with("127.0.0.1:"), "{name} publishes {port} beyond loopback");
        }
    }
}

#[test]
fn versions_are_those_of_the_scripts_and_the_readme() {
    let compose = compose();
    let version = |service: &str| {
        let image = compose.services[service].image.clone().unwrap();
        image.rsplit_once(':').unwrap().1.trim_start_matches('v').to_owned()
    };
    let pom = read("scripts/neo4j/pom.xml");
    assert!(pom.contains(&format!("<neo4j.version>{}</neo4j.version>", version("neo4j"))));
    let readme = read("README.md");
    for (service, name) in [("postgres", "PostgreSQL"), ("neo4j", "Neo4j"), ("qdrant", "Qdrant"), ("redis", "Redis")] {
        let stated = format!("{name} {}", version(service));
        assert!(readme.contains(&stated), "README.md does not say {stated}");
    }
    let toolchain = Regex::new(r#"rust-version = "([\d.]+)""#).unwrap();
    let rust = toolchain.captures(&read("Cargo.toml")).unwrap()[1].to_owned();
    assert!(read("Dockerfile").contains(&format!("FROM rust:{rust}-")), "Dockerfile builds with another Rust than Cargo.toml asks for");
}

#[test]
fn variables_are_those_of_the_settings() {
    let (compose, known) = (compose(), known_variables());
    assert!(known.len() > 15, "{known:?}");
    let given: BTreeSet<&str> = compose.services["specwave"].environment.keys().map(String::as_str).collect();
    for variable in &given {
        assert!(known.contains(*variable), "specwave knows no {variable}");
    }
    for variable in ["DATABASE_URL", "NEO4J_URI", "NEO4J_USER", "NEO4J_PASSWORD", "QDRANT_URL", "REDIS_URL", "SPECWAVE_HTTP_TOKEN"] {
        assert!(given.contains(variable), "{variable} is not set");
    }
    let stack = read("scripts/stack");
    let exported = Regex::new(r"print_export ([A-Z0-9_]+)").unwrap();
    for found in exported.captures_iter(&stack).map(|found| found[1].to_owned()).filter(|name| !name.starts_with("SPECWAVE_TEST_")) {
        assert!(known.contains(&found), "scripts/stack exports {found}, which specwave does not know");
    }
    let image = Regex::new(r"(?m)^ENV ([A-Z0-9_]+)=").unwrap();
    for found in image.captures_iter(&read("Dockerfile")) {
        assert!(known.contains(&found[1]), "Dockerfile sets {}, which specwave does not know", &found[1]);
    }
}

#[test]
fn no_secret_has_a_default() {
    let (text, readme) = (read("docker-compose.yml"), read("README.md"));
    let secret = Regex::new(r"PASSWORD|TOKEN|KEY|AUTH|_URL$").unwrap();
    for (name, service) in &compose().services {
        for (variable, value) in service.environment.iter().filter(|(variable, _)| secret.is_match(variable)) {
            let asks = !interpolations(value).is_empty();
            assert!(asks || variable == "QDRANT_URL", "{name}: {variable} is {value}");
        }
    }
    for (variable, rest) in interpolations(&text) {
        assert!(rest.starts_with(":?") && rest.len() > 10, "${{{variable}}} must be given, and say what it is");
        assert!(readme.contains(&variable), "README.md does not name {variable}");
    }
    let dockerfile = read("Dockerfile");
    assert!(!secret.is_match(&dockerfile.lines().filter(|line| line.starts_with("ENV ")).collect::<String>()));
    let user = dockerfile.lines().rev().find_map(|line| line.strip_prefix("USER "));
    assert_eq!(user, Some("specwave"), "it runs without rights");
}
