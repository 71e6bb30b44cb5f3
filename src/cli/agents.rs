//! `specwave agents`: who can be sent to what no generator builds; list, show, try out, add, switch on and off, remove.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::builder::NonEmptyStringValueParser;
use serde_json::json;

use super::output::{duration, money, say};
use super::{Failure, Global, output, plan};
use crate::agents::listing::Listing;
use crate::agents::profile::{self, duty_in_words};
use crate::agents::{Roster, tryout};
use crate::app;
use crate::config::Config;
use crate::ingest::{self, limits};
use crate::model::{Actor, Profile, TaskType};
use crate::store::postgres::assignments::{self, Standing};
use crate::store::postgres::{Postgres, audit, profiles};

/// Look at the agents, and change who there is.
#[derive(Debug, clap::Subcommand)]
pub enum AgentsCommand {
    /// List who there is, what for, and what became of their units
    List(ListArgs),
    /// Show one agent whole
    Show(NameArgs),
    /// Ask an agent for one small file, to see that it answers
    Test(NameArgs),
    /// Add the agents of a TOML file, or replace those of the same name
    Add(AddArgs),
    /// Let an agent be sent
    Enable(NameArgs),
    /// Let an agent not be sent any more
    Disable(NameArgs),
    /// Take an agent out of the registry; a built-in one comes back as it was
    Remove(NameArgs),
}

/// List who there is.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One agent.
#[derive(Debug, clap::Args)]
pub struct NameArgs {
    /// Its name
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Add agents.
#[derive(Debug, clap::Args)]
pub struct AddArgs {
    /// A file with [[profile]] tables: name, kind, duty, specialisation, task_types, skills, role, settings; - reads stdin
    file: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Everything that the commands work on.
struct Registry {
    config: Arc<Config>,
    actor: Actor,
    postgres: Postgres,
}

/// Runs the command.
pub async fn run(command: AgentsCommand, global: &Global) -> anyhow::Result<ExitCode> {
    let config = Arc::new(global.config(Vec::new())?);
    let postgres = app::connect(&config).await.map_err(|error| Failure::database(&error))?;
    let registry = Registry { actor: Actor::local(&config.user), config, postgres };
    let done = match &command {
        AgentsCommand::List(args) => registry.list(args).await,
        AgentsCommand::Show(args) => registry.show(args).await,
        AgentsCommand::Test(args) => registry.test(args).await,
        AgentsCommand::Add(args) => registry.add(args).await,
        AgentsCommand::Enable(args) => registry.switch(args, true).await,
        AgentsCommand::Disable(args) => registry.switch(args, false).await,
        AgentsCommand::Remove(args) => registry.remove(args).await,
    };
    registry.postgres.close().await.map_err(|error| Failure::database(&error))?;
    done.map(|()| ExitCode::SUCCESS)
}

impl Registry {
    async fn profiles(&self) -> anyhow::Result<Vec<Profile>> {
        let mut tx = self.postgres.tenant(self.actor.organization).await?;
        let profiles = profile::registered(&mut tx).await?;
        tx.commit().await?;
        Ok(profiles)
    }

    fn roster(&self, profiles: Vec<Profile>) -> Roster {
        Roster::new(profiles, &self.config.agents, None, self.config.unit_timeout)
    }

    async fn find(&self, name: &str) -> anyhow::Result<(Profile, Roster)> {
        let profiles = self.profiles().await?;
        let found = profiles.iter().find(|profile| profile.name == name).cloned();
        let nearest = ingest::nearest(name, profiles.iter().map(|profile| profile.name.as_str()));
        let hint = nearest.map_or_else(|| "`specwave agents list` shows who there is".to_owned(), |near| format!("did you mean {near}?"));
        let profile = found.ok_or_else(|| Failure::usage(format!("there is no agent {name:?}")).hint(hint))?;
        Ok((profile, self.roster(profiles)))
    }

    async fn list(&self, args: &ListArgs) -> anyhow::Result<()> {
        let profiles = self.profiles().await?;
        let roster = self.roster(profiles.clone());
        let mut tx = self.postgres.tenant(self.actor.organization).await?;
        let standings = assignments::standings(&mut tx).await?;
        tx.commit().await?;
        if args.json {
            let all: Vec<Listing> = profiles.iter().map(|profile| Listing::of(profile, &roster, standings.get(&profile.name))).collect();
            return output::print_json(&all);
        }
        let row = |profile: &Profile| {
            let sorts: Vec<String> = profile.task_types.iter().copied().filter_map(name_of).collect();
            let what = if sorts.is_empty() { profile.specialisation.to_string() } else { sorts.join(", ") };
            let standing = standings.get(&profile.name).map_or_else(|| "no unit yet".to_owned(), in_words);
            let had = roster.unavailable(&profile.name).map_or("ready", first_line).to_owned();
            vec![profile.name.clone(), profile.kind.as_str().to_owned(), duty_in_words(profile.duty).to_owned(), what, standing, had]
        };
        output::print_table(&["agent", "kind", "", "for", "first tries", ""], &profiles.iter().map(row).collect::<Vec<_>>());
        match roster.default_name() {
            Some(name) => say!("what no generator builds goes to {name}"),
            None => say!("what no generator builds waits: no agent is set (--agent, or the setting agents.default)"),
        }
        Ok(())
    }

    async fn show(&self, args: &NameArgs) -> anyhow::Result<()> {
        let (profile, roster) = self.find(&args.name).await?;
        let mut tx = self.postgres.tenant(self.actor.organization).await?;
        let standings = assignments::standings(&mut tx).await?;
        tx.commit().await?;
        let standing = standings.get(&profile.name);
        if args.json {
            return output::print_json(&Listing::of(&profile, &roster, standing));
        }
        let bold = anstyle::Style::new().bold();
        say!("{bold}{}{bold:#} ({}, version {}) {}", profile.name, profile.kind.as_str(), profile.version, duty_in_words(profile.duty));
        say!("  specialisation {}", profile.specialisation);
        if !profile.skills.is_empty() {
            say!("  skills {}", profile.skills.join(", "));
        }
        match roster.find(&profile.name) {
            Ok(member) => say!("  stands behind it: {}", member.agent.version()),
            Err(reason) => say!("  {reason}"),
        }
        say!("  first tries: {}", standing.map_or_else(|| "none yet".to_owned(), in_words));
        if !profile.role.trim().is_empty() {
            say!("\n{}", profile.role.trim());
        }
        Ok(())
    }

    /// Asks for one small file and says what came back, how long it took and what it cost.
    async fn test(&self, args: &NameArgs) -> anyhow::Result<()> {
        let (profile, roster) = self.find(&args.name).await?;
        let member = roster.find(&profile.name).map_err(|reason| {
            Failure::usage(reason).hint("`specwave config` shows the settings llm.*; `specwave agents show` the profile's own")
        })?;
        let begun = Instant::now();
        let answered = tryout::ask(member.agent.as_ref()).await;
        let took = duration(begun.elapsed());
        let delivered = answered.map_err(|error| Failure::unfinished(format!("{} did not deliver: {error}", profile.name)))?;
        let account = &delivered.account;
        let files: Vec<&str> = delivered.files.iter().map(|file| file.path.as_str()).collect();
        if files.is_empty() {
            return Err(Failure::unfinished(format!("{} says that it is done, and left no file", profile.name)).into());
        }
        if args.json {
            return output::print_json(&json!({
                "agent": profile.name, "files": files, "calls": account.calls, "input_tokens": account.usage.input,
                "output_tokens": account.usage.output, "unreported": account.unreported, "cost_micros": account.cost_micros,
                "duration_ms": u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            }));
        }
        let cost = account.cost_micros.map_or_else(|| "at an unknown cost".to_owned(), |micros| format!("for {}", money(micros)));
        let (read, written) = (account.usage.input, account.usage.output);
        say!("{} delivered {} in {took}: {read} tokens read, {written} written, {cost}", profile.name, files.join(", "));
        Ok(())
    }

    async fn add(&self, args: &AddArgs) -> anyhow::Result<()> {
        let hint = "give the path of a file with [[profile]] tables, or `-` for standard input";
        let content = plan::read_up_to(limits::INPUT_BYTES_MAX, &args.file, hint)?;
        let text = String::from_utf8(content).map_err(|_| Failure::usage(format!("{} is not UTF-8", args.file)))?;
        let hint = "see `specwave agents show general --json` for the fields";
        let added = profile::parse(&text).map_err(|error| Failure::usage(format!("{}: {error}", args.file)).hint(hint))?;
        let mut tx = self.postgres.tenant(self.actor.organization).await?;
        let mut saved = BTreeMap::new();
        for profile in &added {
            let version = profiles::save(&mut tx, profile).await?;
            audit::record(&mut tx, &self.actor.name, "agent.save", &profile.name, None, Some(&serde_json::to_value(profile)?)).await?;
            saved.insert(profile.name.clone(), version);
        }
        tx.commit().await?;
        if args.json {
            return output::print_json(&saved);
        }
        for (name, version) in &saved {
            anstream::eprintln!("{name} is registered, version {version}");
        }
        Ok(())
    }

    async fn switch(&self, args: &NameArgs, enabled: bool) -> anyhow::Result<()> {
        let (profile, _) = self.find(&args.name).await?;
        let changed = Profile { enabled, ..profile.clone() };
        let mut tx = self.postgres.tenant(self.actor.organization).await?;
        let version = profiles::save(&mut tx, &changed).await?;
        let (before, after) = (json!({"enabled": profile.enabled}), json!({"enabled": enabled}));
        audit::record(&mut tx, &self.actor.name, "agent.switch", &profile.name, Some(&before), Some(&after)).await?;
        tx.commit().await?;
        if args.json {
            return output::print_json(&json!({"name": profile.name, "enabled": enabled, "version": version}));
        }
        anstream::eprintln!("{} is {}", profile.name, if enabled { "sent again" } else { "not sent any more" });
        Ok(())
    }

    async fn remove(&self, args: &NameArgs) -> anyhow::Result<()> {
        let (profile, _) = self.find(&args.name).await?;
        let mut tx = self.postgres.tenant(self.actor.organization).await?;
        profiles::remove(&mut tx, &profile.name).await?;
        audit::record(&mut tx, &self.actor.name, "agent.remove", &profile.name, Some(&serde_json::to_value(&profile)?), None).await?;
        tx.commit().await?;
        if args.json {
            return output::print_json(&json!({"removed": profile.name}));
        }
        anstream::eprintln!("{} is removed", profile.name);
        Ok(())
    }
}

fn in_words(standing: &Standing) -> String {
    let unit = standing.unit_cost_micros.map(|micros| format!(", {} a unit", money(micros))).unwrap_or_default();
    format!(
        "{} of {} passed, {} tokens, {}{unit}",
        standing.passed,
        standing.passed + standing.failed,
        standing.tokens,
        money(standing.cost_micros)
    )
}

fn first_line(reason: &str) -> &str {
    reason.lines().next().unwrap_or_default()
}

fn name_of(sort: TaskType) -> Option<String> {
    serde_json::to_value(sort).ok()?.as_str().map(str::to_owned)
}
