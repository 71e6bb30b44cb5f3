//! Target packs: folders inside the binary with a manifest, templates and a pinned lock.

use std::collections::BTreeMap;

use include_dir::{Dir, include_dir};
use serde::Deserialize;

use super::GenerateError;
use super::project::Project;
use crate::model::{SpecDocument, TaskType};

static PACKS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/targets");

/// A target pack, read and ready to generate.
#[derive(Debug, Clone)]
pub struct TargetPack {
    manifest: Manifest,
    commands: Commands,
    files: &'static Dir<'static>,
}

/// How a generated project is installed, checked, migrated and started.
///
/// Each command is a list of arguments with placeholders: `{python}` an interpreter, `{env}` the environment's folder,
/// `{lock}` the path of the pack's lock, `{package}` the import name, `{files}` the files of one unit (one argument each),
/// `{port}` a free port. All run in the project's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commands {
    /// The oldest interpreter that works, for example `3.11`.
    pub python_min: String,
    /// Makes the environment `{env}`.
    pub create_environment: Vec<String>,
    /// Installs the lock `{lock}` into it.
    pub install_packages: Vec<String>,
    /// Checks of the files of one unit alone.
    pub unit_checks: Vec<UnitCheck>,
    /// Checks of the whole project, in order.
    pub project_checks: Vec<ProjectCheck>,
    /// Applies the migrations to `DATABASE_URL`.
    pub migrate: Vec<String>,
    /// Serves on 127.0.0.1 and `{port}` until it is stopped.
    pub start: Vec<String>,
    /// Environment variables of every command but the first two.
    pub environment: BTreeMap<String, String>,
    /// The path that answers 200 while the process lives.
    pub health_live: String,
    /// The path that answers 200 when the service can work.
    pub health_ready: String,
    /// The path of the service's own OpenAPI document.
    pub openapi: String,
}

/// A check of the files of one unit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitCheck {
    /// A stable name.
    pub name: String,
    /// It is made on the unit's files that end so; without any, it is skipped.
    pub suffix: String,
    /// The command; it passes when it exits with 0.
    pub command: Vec<String>,
}

/// A check of the whole project.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectCheck {
    /// A stable name, also the name of [`crate::model::Subject::Project`] that it proves.
    pub name: String,
    /// What it shows when it passes.
    pub title: String,
    /// The command; it passes when it exits with 0.
    pub command: Vec<String>,
    /// The JUnit file that it leaves behind, below the root.
    pub junit: Option<String>,
    /// The coverage.py JSON file that it leaves behind, below the root.
    pub coverage: Option<String>,
    /// The least line coverage in per cent.
    pub coverage_min: Option<u32>,
    /// What it does once for each environment, and not in every project.
    pub warm_up: Option<WarmUp>,
}

/// A part of a check that is the same in all projects: a command over files of the pack, in a folder of its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmUp {
    /// The command.
    pub command: Vec<String>,
    /// The files that it finds: path, and the pack's file, as it stands.
    pub files: BTreeMap<String, String>,
    /// The folder that it leaves behind, of which the check finds a copy in the project's root.
    pub keep: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) language: String,
    pub(super) framework: String,
    pub(super) python_min: String,
    pub(super) aliases: Vec<String>,
    pub(super) health: Health,
    pub(super) install: Install,
    pub(super) unit_checks: Vec<UnitCheck>,
    pub(super) lint: Lint,
    pub(super) project_checks: Vec<ProjectCheck>,
    pub(super) migrate: Command,
    pub(super) start: Command,
    pub(super) by_hand: Command,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) units: Vec<UnitSpec>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Health {
    live: String,
    ready: String,
    openapi: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Install {
    create: Vec<String>,
    packages: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Command {
    command: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lint {
    pub(super) rules: Vec<String>,
    pub(super) rules_ignored: Vec<String>,
}

/// A kind of unit, as the manifest declares it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnitSpec {
    pub(super) key: String,
    pub(super) scope: Scope,
    pub(super) group: String,
    pub(super) phase: u8,
    pub(super) task_type: TaskType,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) output: String,
    pub(super) effort: u32,
    pub(super) skills: Vec<String>,
    pub(super) criteria: Vec<String>,
    #[serde(default)]
    pub(super) needs: Vec<Need>,
    pub(super) files: Vec<FileSpec>,
}

/// How often a kind of unit occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Scope {
    /// Once.
    Project,
    /// Once for each entity.
    Entity,
    /// Once for each module of schemas.
    Module,
    /// Once for each entity that an operation works on.
    Service,
    /// Once for each group with derivable operations.
    Group,
    /// Once for each underivable operation.
    Operation,
    /// Once, when there are entities.
    Migration,
    /// Once for each group.
    Tests,
    /// Once for each entity whose service enforces rules.
    Rules,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Need {
    pub(super) unit: String,
    pub(super) because: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileSpec {
    pub(super) path: String,
    pub(super) template: String,
}

impl TargetPack {
    /// The names of the packs inside the binary, sorted.
    pub fn names() -> Vec<String> {
        let mut names: Vec<String> = PACKS.dirs().filter_map(|dir| dir.path().to_str().map(str::to_owned)).collect();
        names.sort();
        names
    }

    /// The pack of that name or alias, case folded.
    pub fn load(name: &str) -> Result<Self, GenerateError> {
        let wanted = name.to_lowercase();
        for pack in Self::names() {
            let manifest = Self::manifest_of(&pack)?;
            if manifest.name == wanted || manifest.aliases.contains(&wanted) {
                let files = PACKS.get_dir(&pack).ok_or_else(|| missing(&pack, ""))?;
                return Ok(Self { commands: manifest.commands(), manifest, files });
            }
        }
        Err(GenerateError::UnknownPack { name: name.to_owned(), known: Self::names().join(", ") })
    }

    fn manifest_of(pack: &str) -> Result<Manifest, GenerateError> {
        let file = PACKS.get_file(format!("{pack}/pack.toml")).ok_or_else(|| missing(pack, "pack.toml"))?;
        let text = file.contents_utf8().ok_or_else(|| missing(pack, "pack.toml"))?;
        toml::from_str(text).map_err(|source| GenerateError::Manifest { pack: pack.to_owned(), source: Box::new(source) })
    }

    /// The pack's name.
    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    /// The pack's version: it changes whenever the same specification yields other files.
    pub fn version(&self) -> &str {
        &self.manifest.version
    }

    /// The programming language of what it generates, in lower case.
    pub fn language(&self) -> &str {
        &self.manifest.language
    }

    /// The framework of what it generates.
    pub fn framework(&self) -> &str {
        &self.manifest.framework
    }

    /// The pinned requirements, with hashes, of everything that checks and runs its projects.
    pub fn lock(&self) -> &'static str {
        self.text("requirements.lock").unwrap_or_default()
    }

    /// The name under which the generated project is imported.
    pub fn package(&self, doc: &SpecDocument) -> String {
        Project::new(doc).package
    }

    /// What a person types in the project's folder to install, migrate and start it.
    pub fn start_by_hand(&self, doc: &SpecDocument) -> Vec<String> {
        let package = self.package(doc);
        self.manifest.by_hand.command.iter().map(|line| line.replace("{package}", &package)).collect()
    }

    /// How its projects are installed, checked, migrated and started.
    pub fn commands(&self) -> &Commands {
        &self.commands
    }

    /// The files that a warm-up finds: path, text.
    pub fn files_of(&self, warm_up: &WarmUp) -> Result<Vec<(String, &'static str)>, GenerateError> {
        warm_up.files.iter().map(|(path, file)| Ok((path.clone(), self.text(file)?))).collect()
    }

    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// A file of the pack, by its path below the pack's folder.
    pub(super) fn text(&self, path: &str) -> Result<&'static str, GenerateError> {
        let full = self.files.path().join(path);
        let file = self.files.get_file(&full).ok_or_else(|| missing(&self.manifest.name, path))?;
        file.contents_utf8().ok_or_else(|| missing(&self.manifest.name, path))
    }

    /// The pack's templates: path below `templates/`, text.
    pub(super) fn templates(&self) -> Result<Vec<(String, &'static str)>, GenerateError> {
        let root = self.files.path().join("templates");
        let folder = self.files.get_dir(&root).ok_or_else(|| missing(&self.manifest.name, "templates"))?;
        let mut found = Vec::new();
        let mut pending = vec![folder];
        while let Some(folder) = pending.pop() {
            pending.extend(folder.dirs());
            for file in folder.files() {
                let path = file.path().strip_prefix(&root).ok().and_then(|path| path.to_str());
                if let (Some(path), Some(text)) = (path, file.contents_utf8()) {
                    found.push((path.to_owned(), text));
                }
            }
        }
        found.sort();
        Ok(found)
    }
}

impl Manifest {
    fn commands(&self) -> Commands {
        let lint = |argument: &String| {
            argument.replace("{rules}", &self.lint.rules.join(",")).replace("{rules_ignored}", &self.lint.rules_ignored.join(","))
        };
        let unit_checks =
            self.unit_checks.iter().map(|check| UnitCheck { command: check.command.iter().map(lint).collect(), ..check.clone() });
        Commands {
            python_min: self.python_min.clone(),
            create_environment: self.install.create.clone(),
            install_packages: self.install.packages.clone(),
            unit_checks: unit_checks.collect(),
            project_checks: self.project_checks.clone(),
            migrate: self.migrate.command.clone(),
            start: self.start.command.clone(),
            environment: self.environment.clone(),
            health_live: self.health.live.clone(),
            health_ready: self.health.ready.clone(),
            openapi: self.health.openapi.clone(),
        }
    }
}

fn missing(pack: &str, file: &str) -> GenerateError {
    GenerateError::MissingFile { pack: pack.to_owned(), file: file.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fastapi_loads_by_name_and_alias() {
        assert_eq!(TargetPack::load("FastAPI").expect("exists").name(), "fastapi");
        assert_eq!(TargetPack::load("python").expect("exists").name(), "fastapi");
    }

    #[test]
    fn an_unknown_pack_names_the_known_ones() {
        let error = TargetPack::load("cobol").expect_err("does not exist");
        assert_eq!(error.to_string(), "there is no target pack `cobol`; hint: the packs are fastapi");
    }

    #[test]
    fn the_lock_pins_with_hashes_and_names_no_index() {
        let pack = TargetPack::load("fastapi").expect("exists");
        assert!(pack.lock().contains("fastapi=="));
        assert!(!pack.lock().contains("://"));
        let pins = pack.lock().lines().filter(|line| line.contains("==")).count();
        let first_hashes = pack.lock().split("==").skip(1).filter(|rest| rest.contains("--hash=sha256:")).count();
        assert_eq!(pins, first_hashes);
    }

    #[test]
    fn commands_have_no_unknown_placeholder() {
        let pack = TargetPack::load("fastapi").expect("exists");
        let commands = pack.commands();
        let known = ["{python}", "{env}", "{lock}", "{package}", "{files}", "{port}"];
        let lists =
            commands.unit_checks.iter().map(|check| &check.command).chain(commands.project_checks.iter().map(|check| &check.command));
        for argument in lists.chain([&commands.migrate, &commands.start]).flatten() {
            let rest = known.iter().fold(argument.clone(), |text, name| text.replace(name, ""));
            assert!(!rest.contains('{'), "{argument}");
        }
    }
}
