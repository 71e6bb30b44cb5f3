//! `specwave run SPEC`: the main job, from a document to a checked service in a directory.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::drive::{self, Ending};
use super::{Failure, Global, findings, plan};
use crate::app::App;
use crate::engine::{Submission, Submitted, SubmittedAs};
use crate::exec::output::Output;
use crate::exec::repository::{Git, Repository, RepositoryError};
use crate::ingest;
use crate::model::{Finding, Severity, SpecDocument, SpecFormat};
use crate::pipeline::intake::{self, Refusal};
use crate::pipeline::run::{RunOptions, UserRepository};
use crate::store::postgres::specs::NewSpec;

/// Build a specification.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct RunArgs {
    /// The specification; - reads stdin
    spec: String,
    /// Where the result goes [default: a directory named after the title; with --repo, nowhere but onto the branch]
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Grow in this git repository: units are merged on a new branch `specwave/NAME/RUN`, from what is checked out there
    ///
    /// Agents begin with its files as they are committed. Nothing but that branch changes in it: no checkout, index, hook or other branch, and
    /// what is not committed is neither seen nor touched. Nothing is put into a directory unless --out says so as well, and that is what
    /// the units wrote. The path is one of this machine: workers elsewhere leave the run alone, or pause it.
    #[arg(long, value_name = "PATH")]
    repo: Option<PathBuf>,
    /// The commit, branch or tag at which the branch starts, instead of what is checked out
    #[arg(long, value_name = "REV", requires = "repo")]
    base: Option<String>,
    /// The identity of the specification across versions [default: its title]
    #[arg(long)]
    name: Option<String>,
    /// The format, when it is not the one that is detected
    #[arg(long, value_enum)]
    format: Option<plan::Format>,
    /// The target pack [default: the specification's, else the setting run.target]
    #[arg(long)]
    target: Option<String>,
    /// Who builds what no generator builds: an agent's name, or auto [default: the setting agents.default]
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// Let agents that work in a tree change files that no unit declares, several of them the same ones; all are reported
    #[arg(long)]
    allow_undeclared: bool,
    /// Units that are worked on at once
    #[arg(short, long, value_name = "N")]
    concurrency: Option<u16>,
    /// Start a wave only when the one before it is finished
    #[arg(long)]
    strict_waves: bool,
    /// Replace edited and foreign files in the output directory
    #[arg(long)]
    force: bool,
    /// Start anew even when the same command is unfinished
    #[arg(long)]
    fresh: bool,
    /// Print events as JSON lines, the report as the last one
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(args: RunArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let concurrency = args.concurrency.map(|count| ("run.concurrency", toml::Value::Integer(i64::from(count))));
    let strict_waves = args.strict_waves.then_some(("run.strict_waves", toml::Value::Boolean(true)));
    let agent = args.agent.clone().map(|name| ("agents.default", toml::Value::String(name)));
    let undeclared = args.allow_undeclared.then_some(("agents.allow_undeclared", toml::Value::Boolean(true)));
    let config = Arc::new(global.config(concurrency.into_iter().chain(strict_waves).chain(agent).chain(undeclared).collect())?);
    let content = plan::read_input(&args.spec)?;
    let format = args.format.map(SpecFormat::from);
    let document = read(&args.spec, &content, format)?;
    let target = intake::target(args.target.as_deref(), &document, &config.target).map_err(|error| Failure::usage(error.to_string()))?;
    // What cannot be planned is refused before a run is made of it.
    plan::plan_or_refuse(&document, Vec::new(), shown(&args.spec), Some(&target))?;
    let slug = intake::identity(args.name.as_deref(), &document).map_err(|refusal| refused(&refusal))?;
    let grown = match &args.repo {
        Some(path) => Some(grows_in(path, args.base.as_deref(), args.out.is_some(), &slug).await?),
        None => None,
    };
    let out = match &grown {
        Some((repository, _)) if !repository.deliver => repository.path.clone(),
        _ => output_directory(args.out.as_deref(), &document)?,
    };
    let (repository, from) = grown.unzip();
    let options = RunOptions {
        format,
        force: args.force,
        strict_waves: config.strict_waves,
        agent: config.agents.default.clone(),
        repository,
        allow_undeclared: config.agents.allow_undeclared,
    };

    let app = App::open(config).await?;
    let submission = Submission {
        spec: NewSpec {
            slug: &slug,
            title: &document.title,
            content_hash: &hex::encode(Sha256::digest(&content)),
            source_name: &args.spec,
            content: &content,
        },
        target: &target,
        output_dir: &out.to_string_lossy(),
        options: &serde_json::to_value(&options)?,
        fresh: args.fresh,
    };
    let ending = drive(&app, &submission, from.as_deref(), args.json).await;
    app.close().await;
    Ok(ending?.code)
}

async fn drive(app: &App, submission: &Submission<'_>, from: Option<&str>, json: bool) -> anyhow::Result<Ending> {
    let engine = app.engine();
    let submitted = engine.submit(&app.actor, submission).await?;
    let how = how(&submitted);
    let how = match from.filter(|_| !matches!(submitted.how, SubmittedAs::Resumed | SubmittedAs::Live { .. })) {
        Some(from) => format!("{how}; {from}"),
        None => how,
    };
    drive::to_end(app, engine, submitted.run, &how, json).await
}

/// Which of the possibilities happened, in words.
fn how(submitted: &Submitted) -> String {
    let version = submitted.spec_version;
    let how = match submitted.how {
        SubmittedAs::New => format!("of version {version}, new"),
        SubmittedAs::Again => format!("of version {version}, again: unchanged units are reused"),
        SubmittedAs::Resumed => format!("of version {version}, resumed where it stopped"),
        SubmittedAs::Live { driver } => format!("of version {version}, followed: worker {driver} drives it"),
        SubmittedAs::NewVersion => format!("of version {version}, new: the specification changed"),
    };
    match submitted.superseded.len() {
        0 => how,
        count => format!("{how}; takes the place of {count} unfinished"),
    }
}

/// What messages call the specification.
fn shown(name: &str) -> &str {
    if name == "-" { "<stdin>" } else { name }
}

/// The document; its warnings and errors go to stderr.
fn read(name: &str, content: &[u8], format: Option<SpecFormat>) -> Result<SpecDocument, Failure> {
    let shown = shown(name);
    let ingested = ingest::read(content, (name != "-").then_some(name), format);
    let loud: Vec<Finding> = ingested.findings.into_iter().filter(|finding| finding.severity > Severity::Info).collect();
    anstream::eprint!("{}", findings::render(&loud, shown));
    let refusal = || {
        Failure::usage(format!("{shown} cannot be built from"))
            .hint("mend the errors above; `--format` overrides what the document is taken for")
    };
    ingested.document.ok_or_else(refusal)
}

/// The user's repository, found usable before any work is done, and what is said of it.
async fn grows_in(path: &Path, base: Option<&str>, deliver: bool, slug: &str) -> Result<(UserRepository, String), Failure> {
    let missing = |error: std::io::Error| {
        Failure::usage(format!("the repository {}: {error}", path.display())).hint("name a directory inside a git repository of yours")
    };
    let path = path.canonicalize().map_err(missing)?;
    let unusable = |error: RepositoryError| Failure::usage(error.to_string()).hint(error.hint());
    let git = Git::find(None).await.map_err(unusable)?;
    let found = Repository::look(&git, slug, &path, base).await.map_err(unusable)?;
    let from = format!("it grows from {} of {}; what is not committed there is no part of it", found.start, path.display());
    Ok((UserRepository { path, base: base.map(str::to_owned), deliver }, from))
}

/// The absolute path, found usable before any work is done.
fn output_directory(out: Option<&Path>, document: &SpecDocument) -> Result<PathBuf, Failure> {
    let out = out.map_or_else(|| PathBuf::from(&document.slug), Path::to_owned);
    let unusable = |error: &dyn std::fmt::Display| Failure::usage(format!("the output directory {}: {error}", out.display()));
    let out = std::path::absolute(&out).map_err(|error| unusable(&error))?;
    let output = Output::open(&out).map_err(|error| Failure::usage(error.to_string()).hint(error.hint()))?;
    Ok(output.path().to_owned())
}

fn refused(refusal: &Refusal) -> Failure {
    let failure = Failure::usage(refusal.to_string());
    refusal.hint().map_or_else(|| Failure::usage(refusal.to_string()), |hint| failure.hint(hint))
}
