//! `specwave prompts`: the templates that agents are told things with; list, and show one as a file that may replace it.

use std::process::ExitCode;

use serde_json::json;

use super::failure::chain;
use super::output::say;
use super::{Failure, Global, output};
use crate::agents::llm::prompt::{PromptFacts, Prompts};
use crate::ingest;

/// Look at the prompts. A folder (setting llm.prompts) may replace each by a file of its name
#[derive(Debug, clap::Subcommand)]
pub enum PromptsCommand {
    /// List all prompts: version, hash, where each comes from
    List(ListArgs),
    /// Print one prompt as its file
    Show(ShowArgs),
}

/// List all prompts.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Print one prompt as its file: save it as NAME.md in the folder of the setting llm.prompts, and change it there.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// Its name
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command. What the settings replace is checked as it is before a run.
pub fn run(command: &PromptsCommand, global: &Global) -> anyhow::Result<ExitCode> {
    let config = global.config(Vec::new())?;
    let prompts = Prompts::load(config.agents.model.prompts.as_deref())
        .map_err(|error| Failure::usage(chain(&error)).hint("mend the file, or take it out of the folder of the setting llm.prompts"))?;
    match command {
        PromptsCommand::List(args) => list(&prompts, args)?,
        PromptsCommand::Show(args) => show(&prompts, args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(prompts: &Prompts, args: &ListArgs) -> anyhow::Result<()> {
    if args.json {
        return output::print_json(&prompts.facts().iter().map(document).collect::<Vec<_>>());
    }
    let row = |facts: &PromptFacts| {
        let from = facts.replaced_by.as_ref().map_or_else(|| "built in".to_owned(), |path| path.display().to_string());
        let name = facts.name.as_str().to_owned();
        vec![name, facts.version.to_string(), facts.hash.clone(), facts.name.variables().join(" "), from]
    };
    output::print_table(&["prompt", "version", "hash", "variables", "from"], &prompts.facts().iter().map(row).collect::<Vec<_>>());
    Ok(())
}

fn show(prompts: &Prompts, args: &ShowArgs) -> anyhow::Result<()> {
    let unknown = || {
        let names = prompts.facts().iter().map(|facts| facts.name.as_str());
        let near = ingest::nearest(&args.name, names).map(|near| format!("did you mean {near}?"));
        Failure::usage(format!("no prompt is called {}", args.name))
            .hint(near.unwrap_or_else(|| "`specwave prompts list` shows the names".to_owned()))
    };
    let facts = prompts.facts().iter().find(|facts| facts.name.as_str() == args.name).ok_or_else(unknown)?;
    if args.json {
        let mut whole = document(facts);
        whole["text"] = json!(facts.text);
        return output::print_json(&whole);
    }
    say!("{}", facts.text.trim_end());
    Ok(())
}

fn document(facts: &PromptFacts) -> serde_json::Value {
    json!({
        "name": facts.name.as_str(), "version": facts.version, "hash": facts.hash, "variables": facts.name.variables(),
        "replaced_by": facts.replaced_by,
    })
}
