//! The command line: one file per command. Data goes to stdout, everything else to stderr; no rule of the domain lives here.
//!
//! Exit codes: 0 succeeded, 1 internal error, 2 usage or bad input, 3 finished but partial or failed, 4 cancelled or
//! paused, 5 a required store is unavailable.

mod acting;
mod agents;
mod agents_view;
mod ask;
mod cancel;
mod change;
mod commands_view;
mod completions;
mod config;
mod context;
mod decide;
mod doctor;
mod done;
mod drive;
mod failure;
mod findings;
mod follow;
mod logs;
mod migrate;
mod output;
mod patterns;
mod patterns_standing;
mod patterns_transfer;
mod pause;
mod plan;
mod plan_graph;
mod plan_view;
mod progress;
mod prompts;
mod rebuild;
mod report;
mod report_view;
mod reset;
mod resume;
mod run;
mod select;
mod serve;
mod signals;
mod skills;
mod status;
mod undo;
mod verify;
mod watch;
mod why;
mod worker;
mod worktrees;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{ArgAction, Parser, Subcommand};

pub use failure::{Failure, report_failure};

use crate::config::Config;
use crate::telemetry::Logging;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// From a software specification to a running, checked service.
#[derive(Debug, Parser)]
#[command(name = "specwave", version, styles = STYLES, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options that every command takes.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Where everything that is kept lives
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Reach for nothing beyond this machine
    #[arg(long, global = true)]
    offline: bool,
    /// Run commands with a weaker sandbox than they need where this machine offers no better one; recorded with the run
    #[arg(long, global = true)]
    no_sandbox: bool,
    /// Log more: -v info, -vv debug
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Log directives, for example `specwave=debug,sqlx=info`
    #[arg(long, global = true, env = "SPECWAVE_LOG", value_name = "DIRECTIVES", hide = true)]
    log: Option<String>,
    /// Log as JSON lines
    #[arg(long, global = true, hide = true)]
    log_json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what would be done for a specification, and do nothing
    Plan(plan::PlanArgs),
    /// Build a specification: plan, generate, check, deliver, probe, learn
    Run(run::RunArgs),
    /// Serve the HTTP interface and build what is submitted
    Serve(serve::ServeArgs),
    /// Work on runs that others submitted
    Worker(worker::WorkerArgs),
    /// Show the newest runs, or how one stands
    Status(status::StatusArgs),
    /// Show attempts, checks and what they printed
    Logs(logs::LogsArgs),
    /// Show why a unit stands where it stands, and what may follow
    Why(why::WhyArgs),
    /// Show what an agent would be told about a unit, and where it came from
    Context(context::ContextArgs),
    /// Show what a run did and what it proved
    Report(report::ReportArgs),
    /// Go on with a run that was paused, or that ended partial or failed
    Resume(resume::ResumeArgs),
    /// Stop a run until it is resumed
    Pause(pause::PauseArgs),
    /// Call a run off for good
    Cancel(cancel::CancelArgs),
    /// Take a run that does not move from whoever works on it
    Reset(reset::ResetArgs),
    /// Try failed or waiting units once more
    Retry(decide::RetryArgs),
    /// Do finished units once more, and everything that depends on them
    Reopen(decide::ReopenArgs),
    /// Change the plan of a run under way
    Change(change::ChangeArgs),
    /// Hand in what a person has done of a unit
    Done(done::DoneArgs),
    /// Ask something about a unit, or answer what was asked
    Ask(ask::AskArgs),
    /// Approve a unit that waits for a person
    Approve(decide::ApproveArgs),
    /// Reject a unit that waits for a person
    Reject(decide::RejectArgs),
    /// Bring back the previous tree of an output directory
    Undo(undo::UndoArgs),
    /// Search and show what was learned
    #[command(subcommand)]
    Patterns(patterns::PatternsCommand),
    /// Look at the agents, and change who there is
    #[command(subcommand)]
    Agents(agents::AgentsCommand),
    /// Look at the prompts that agents are told things with
    #[command(subcommand)]
    Prompts(prompts::PromptsCommand),
    /// List the directories that agents work in, and those kept after a failure
    Worktrees(worktrees::WorktreesArgs),
    /// Look at the standards, and check files against them
    #[command(subcommand)]
    Skills(skills::SkillsCommand),
    /// Show how every store and tool is, and what to do about it
    Doctor(doctor::DoctorArgs),
    /// Build graph, vectors or cache anew from the facts in PostgreSQL
    Rebuild(rebuild::RebuildArgs),
    /// Compare graph and vectors with the facts in PostgreSQL
    Verify(verify::VerifyArgs),
    /// Show which migrations of the database were applied
    #[command(subcommand)]
    Migrate(migrate::MigrateCommand),
    /// Show every setting and where it came from
    Config(config::ConfigArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
}

impl Cli {
    /// How this invocation logs.
    pub fn logging(&self) -> Logging {
        Logging { verbosity: self.global.verbose, directives: self.global.log.clone(), json: self.global.log_json }
    }

    /// Runs the command and says how it went.
    pub async fn run(self) -> ExitCode {
        match self.dispatch().await {
            Ok(_) if output::lost_lines() => ExitCode::FAILURE,
            Ok(code) => code,
            Err(error) => report_failure(&error),
        }
    }

    async fn dispatch(self) -> anyhow::Result<ExitCode> {
        let global = self.global;
        match self.command {
            Command::Plan(args) => plan::run(&args),
            Command::Run(args) => run::run(args, &global).await,
            Command::Serve(args) => serve::run(args, &global).await,
            Command::Worker(args) => worker::run(args, &global).await,
            Command::Status(args) => status::run(args, &global).await,
            Command::Logs(args) => logs::run(args, &global).await,
            Command::Why(args) => why::run(args, &global).await,
            Command::Context(args) => context::run(args, &global).await,
            Command::Report(args) => report::run(args, &global).await,
            Command::Resume(args) => resume::run(args, &global).await,
            Command::Pause(args) => pause::run(args, &global).await,
            Command::Cancel(args) => cancel::run(args, &global).await,
            Command::Reset(args) => reset::run(args, &global).await,
            Command::Retry(args) => decide::retry(args, &global).await,
            Command::Reopen(args) => decide::reopen(args, &global).await,
            Command::Change(args) => change::run(args, &global).await,
            Command::Done(args) => done::run(args, &global).await,
            Command::Ask(args) => ask::run(args, &global).await,
            Command::Approve(args) => decide::approve(args, &global).await,
            Command::Reject(args) => decide::reject(args, &global).await,
            Command::Undo(args) => undo::run(&args),
            Command::Patterns(command) => patterns::run(command, &global).await,
            Command::Agents(command) => agents::run(command, &global).await,
            Command::Prompts(command) => prompts::run(&command, &global),
            Command::Worktrees(args) => worktrees::run(args, &global).await,
            Command::Skills(command) => skills::run(command, &global).await,
            Command::Doctor(args) => doctor::run(&args, &global).await,
            Command::Rebuild(args) => Box::pin(rebuild::run(args, &global)).await,
            Command::Verify(args) => Box::pin(verify::run(args, &global)).await,
            Command::Migrate(command) => migrate::run(&command, &global).await,
            Command::Config(args) => config::run(&args, &global),
            Command::Completions(args) => completions::run(&args),
        }
    }
}

impl Global {
    /// The settings with the flags of this invocation on top of `flags`.
    fn config(&self, mut flags: Vec<(&'static str, toml::Value)>) -> Result<Config, Failure> {
        if let Some(dir) = &self.data_dir {
            flags.push(("data_dir", toml::Value::String(dir.to_string_lossy().into_owned())));
        }
        if self.offline {
            flags.push(("offline", toml::Value::Boolean(true)));
        }
        if self.no_sandbox {
            flags.push(("sandbox.required", toml::Value::Boolean(false)));
        }
        Config::load(&flags).map_err(|error| match error.hint() {
            Some(hint) => Failure::usage(error.to_string()).hint(hint),
            None => Failure::usage(error.to_string()),
        })
    }
}
