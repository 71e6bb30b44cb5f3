//! `specwave skills`: the standards: list them, show one whole, check files against them, see how well a run met one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use serde_json::json;
use time::format_description::well_known::Rfc3339;
use tokio_util::sync::CancellationToken;

use super::failure::UNFINISHED;
use super::output::say;
use super::{Failure, Global, output};
use crate::app::App;
use crate::skills::collect::{Collected, collect};
use crate::skills::linters::{self, Applied, Tools};
use crate::skills::{self, FileVerdict, Judgement, Skill, SourceFile, registry};
use crate::store::postgres;

/// Look at the standards and check files against them.
#[derive(Debug, clap::Subcommand)]
pub enum SkillsCommand {
    /// List all standards
    List(ListArgs),
    /// Show one standard whole: guideline and checks
    Show(ShowArgs),
    /// Check files against the standards
    Check(CheckArgs),
    /// Show how well runs met a standard, newest first
    History(HistoryArgs),
}

/// List all standards.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Show one standard whole.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// Its name
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Check files against the standards. Exit code 3 when something failed.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// Files and folders
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Only this standard; may be repeated
    #[arg(long = "skill", value_name = "NAME")]
    skills: Vec<String>,
    /// Format and mend what tools can mend, then check
    #[arg(long)]
    fix: bool,
    /// The `ruff` to use [default: the project's, the generator's or the system's]
    #[arg(long, value_name = "PATH")]
    ruff: Option<PathBuf>,
    /// The `cargo` to run clippy with; it compiles the project [default: none]
    #[arg(long, value_name = "PATH")]
    cargo: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Show how well runs met a standard.
#[derive(Debug, clap::Args)]
pub struct HistoryArgs {
    /// Its name
    name: String,
    /// Most runs
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    limit: u16,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(command: SkillsCommand, global: &Global) -> anyhow::Result<ExitCode> {
    match command {
        SkillsCommand::List(args) => list(&args),
        SkillsCommand::Show(args) => show(&args),
        SkillsCommand::Check(args) => check(args, global).await,
        SkillsCommand::History(args) => history(&args, global).await,
    }
}

fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    if args.json {
        output::print_json(&registry().all().map(document).collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    let row = |skill: &Skill| {
        let checks = skill.check_names().len().to_string();
        vec![skill.name.to_string(), skill.version.to_string(), checks, skill.title.clone()]
    };
    output::print_table(&["skill", "version", "checks", "title"], &registry().all().map(row).collect::<Vec<_>>());
    Ok(ExitCode::SUCCESS)
}

fn show(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let skill = find(&args.name)?;
    if args.json {
        let mut whole = document(skill);
        whole["guideline"] = json!(skill.guideline);
        output::print_json(&whole)?;
        return Ok(ExitCode::SUCCESS);
    }
    say!("{} version {} ({}, precedence {})\n", skill.name, skill.version, skill.domain.as_str(), skill.precedence);
    say!("{}", skill.guideline.trim_end());
    say!("\nchecks: {}", skill.check_names().join(", "));
    Ok(ExitCode::SUCCESS)
}

fn find(name: &str) -> Result<&'static Skill, Failure> {
    let unknown = || Failure::usage(format!("no skill is called {name}")).hint("`specwave skills list` shows the names");
    registry().find(name).ok_or_else(unknown)
}

fn document(skill: &Skill) -> serde_json::Value {
    json!({
        "name": skill.name,
        "version": skill.version,
        "domain": skill.domain,
        "title": skill.title,
        "precedence": skill.precedence,
        "summary": skill.summary,
        "checks": skill.check_names(),
    })
}

async fn check(args: CheckArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let config = global.config(Vec::new())?;
    let chosen: Vec<&'static Skill> = args.skills.iter().map(|name| find(name)).collect::<Result<_, _>>()?;
    let chosen = if chosen.is_empty() { registry().all().collect() } else { chosen };
    let home = config.inherited.iter().find(|(name, _)| name == "HOME").map(|(_, home)| PathBuf::from(home));
    let mut found = Checked::default();
    for path in &args.paths {
        let named = path.clone();
        let refused = |error: skills::collect::CollectError| Failure::usage(super::failure::chain(&error)).hint(error.hint());
        let collected = tokio::task::spawn_blocking(move || collect(&named)).await.context("reading the files")?.map_err(refused)?;
        let mut tools = Tools::find(&collected.root, &config.data_dir);
        tools.weaker_sandbox = !config.sandbox_required;
        if let Some(ruff) = &args.ruff {
            tools.take_ruff(ruff.clone());
        }
        if let Some(cargo) = &args.cargo {
            tools.take_cargo(cargo.clone(), home.iter().flat_map(|home| [home.join(".cargo"), home.join(".rustup")]));
        }
        found.add(check_project(&chosen, path, collected, &tools, args.fix).await?);
    }
    found.tell(args.json)?;
    let failed = found.verdicts.iter().any(|verdict| verdict.judgement.failed());
    Ok(if failed { ExitCode::from(UNFINISHED) } else { ExitCode::SUCCESS })
}

/// Mends when asked to, reads again what was mended, and checks.
async fn check_project(
    chosen: &[&'static Skill],
    path: &std::path::Path,
    mut collected: Collected,
    tools: &Tools,
    fix: bool,
) -> anyhow::Result<Checked> {
    // Ctrl-C ends this process, and its supervisors end what they run.
    let cancel = CancellationToken::new();
    let mut checked = Checked::default();
    if fix {
        let files: Vec<String> = collected.files.iter().map(|file| file.path.clone()).collect();
        checked.applied = linters::apply(&collected.root, &files, tools, &cancel).await;
        let named = path.to_owned();
        collected = tokio::task::spawn_blocking(move || collect(&named)).await.context("reading the files")??;
    }
    let files: Vec<String> = collected.files.iter().map(|file| file.path.clone()).collect();
    let linted = linters::lint(chosen, &collected.root, &files, tools, &cancel).await;
    let shown: BTreeMap<String, String> = collected.files.iter().map(|file| (file.path.clone(), file.shown.clone())).collect();
    let skills = chosen.to_vec();
    let judged = tokio::task::spawn_blocking(move || {
        let files = collected.files.iter().map(|file| SourceFile { path: &file.path, content: &file.content });
        skills::validate(&skills, files)
    });
    checked.files = shown.len();
    checked.verdicts = judged.await.context("checking the files")?;
    checked.verdicts.extend(linted);
    checked.verdicts.sort_by(|one, other| one.path.cmp(&other.path));
    let as_named = |path: &mut String| {
        if let Some(shown) = shown.get(path) {
            shown.clone_into(path);
        }
    };
    checked.verdicts.iter_mut().for_each(|verdict| as_named(&mut verdict.path));
    checked.applied.changed.iter_mut().for_each(as_named);
    Ok(checked)
}

/// What was found below all paths.
#[derive(Default)]
struct Checked {
    files: usize,
    verdicts: Vec<FileVerdict>,
    applied: Applied,
}

/// How many verdicts there are of each kind, and problems.
#[derive(Default)]
struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
    problems: usize,
}

impl Checked {
    fn add(&mut self, other: Self) {
        self.files += other.files;
        self.verdicts.extend(other.verdicts);
        self.applied.changed.extend(other.applied.changed);
        self.applied.ran.extend(other.applied.ran);
        self.applied.skipped.extend(other.applied.skipped);
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for verdict in &self.verdicts {
            match &verdict.judgement {
                Judgement::Passed => counts.passed += 1,
                Judgement::Failed { .. } => counts.failed += 1,
                Judgement::Skipped { .. } => counts.skipped += 1,
            }
            counts.problems += verdict.judgement.problems();
        }
        counts
    }

    /// Problems as lines that editors jump to; how it went as a whole on stderr.
    fn tell(&self, json: bool) -> anyhow::Result<()> {
        let Counts { passed, failed, skipped, problems } = self.counts();
        if json {
            let counts = json!({"files": self.files, "passed": passed, "failed": failed, "skipped": skipped, "problems": problems});
            return output::print_json(&json!({"counts": counts, "applied": self.applied, "verdicts": self.verdicts}));
        }
        for FileVerdict { path, skill, check, judgement, .. } in &self.verdicts {
            let Judgement::Failed { problems, omitted } = judgement else { continue };
            for problem in problems {
                say!("{path}:{}:{}: {skill}/{check}: {}", problem.line, problem.column, problem.message);
                say!("    {}", problem.hint);
            }
            if *omitted > 0 {
                say!("{path}: {skill}/{check}: and {omitted} more");
            }
        }
        for path in &self.applied.changed {
            anstream::eprintln!("mended {path}");
        }
        for reason in &self.applied.skipped {
            anstream::eprintln!("not mended by {reason}");
        }
        for (reason, count) in self.reasons() {
            anstream::eprintln!("skipped {count}: {reason}");
        }
        anstream::eprintln!("{} files: {passed} checks passed, {failed} failed ({problems} problems), {skipped} skipped", self.files);
        Ok(())
    }

    /// Why checks were skipped, and how many for each reason.
    fn reasons(&self) -> BTreeMap<&str, usize> {
        let mut reasons = BTreeMap::new();
        for verdict in &self.verdicts {
            if let Judgement::Skipped { reason } = &verdict.judgement {
                *reasons.entry(reason.as_str()).or_default() += 1;
            }
        }
        reasons
    }
}

async fn history(args: &HistoryArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let skill = find(&args.name)?;
    let app = App::open(Arc::new(global.config(Vec::new())?)).await?;
    let found = async {
        let mut tx = app.postgres.tenant(app.actor.organization).await?;
        postgres::skills::history(&mut tx, skill.name.as_str(), u32::from(args.limit)).await
    };
    let found = found.await;
    app.close().await;
    let rows = found?;
    if args.json {
        let document = |row: &postgres::skills::SkillResult| json!({"run": row.run, "counts": row.counts, "recorded_at": row.recorded_at.format(&Rfc3339).unwrap_or_default()});
        output::print_json(&rows.iter().map(document).collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    if rows.is_empty() {
        anstream::eprintln!("no run was checked against {} yet", skill.name);
        return Ok(ExitCode::SUCCESS);
    }
    let row = |row: &postgres::skills::SkillResult| {
        let counts = &row.counts;
        let numbers =
            [counts.version, counts.files_checked, counts.files_failed, counts.files_fixed, counts.files_skipped, counts.problems];
        [row.run.to_string()].into_iter().chain(numbers.map(|number| number.to_string())).collect()
    };
    output::print_table(
        &["run", "version", "checked", "failed", "fixed", "skipped", "problems"],
        &rows.iter().map(row).collect::<Vec<_>>(),
    );
    Ok(ExitCode::SUCCESS)
}
