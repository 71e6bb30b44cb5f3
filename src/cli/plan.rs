//! `specwave plan`: shows what would be done, and does nothing. Needs no store.

use std::fs::File;
use std::io::{self, Read};
use std::process::ExitCode;

use clap::ValueEnum;

use super::{Failure, findings, output, plan_graph, plan_view};
use crate::ingest::{self, Ingested, limits};
use crate::model::{Finding, Plan, SpecDocument, SpecFormat};
use crate::pipeline::plan::{PlanError, plan_document};

/// Show what would be done for a specification.
#[derive(Debug, clap::Args)]
pub struct PlanArgs {
    /// The specification; `-` reads standard input
    spec: String,
    /// What it is written in, when that is not to be guessed
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,
    /// The target pack to build with [default: the one the document names, else fastapi]
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// For how many workers the speed-up is shown
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    workers: u16,
    /// Print the whole plan as JSON
    #[arg(long, conflicts_with_all = ["mermaid", "dot"])]
    json: bool,
    /// Print the graph as a Mermaid flowchart
    #[arg(long, conflicts_with = "dot")]
    mermaid: bool,
    /// Print the graph in Graphviz' language
    #[arg(long)]
    dot: bool,
}

/// The formats of `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// OpenAPI 3.0 or 3.1, YAML or JSON
    #[value(name = "openapi")]
    OpenApi,
    /// Structured Markdown
    Markdown,
    /// The structured model as YAML or JSON
    Model,
    /// Requirements in prose
    Prose,
}

impl From<Format> for SpecFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::OpenApi => Self::OpenApi,
            Format::Markdown => Self::Markdown,
            Format::Model => Self::Model,
            Format::Prose => Self::Prose,
        }
    }
}

/// Prints the plan of a specification. Exits with 2 when the document cannot be planned.
pub fn run(args: &PlanArgs) -> anyhow::Result<ExitCode> {
    let bytes = read_input(&args.spec)?;
    let name = (args.spec != "-").then_some(args.spec.as_str());
    let shown = name.unwrap_or("<stdin>");
    let plan = plan(ingest::read(&bytes, name, args.format.map(Into::into)), shown, args.target.as_deref())?;
    if args.json {
        output::print_json(&plan)?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = if args.mermaid {
        plan_graph::mermaid(&plan)
    } else if args.dot {
        plan_graph::dot(&plan)
    } else {
        let width = terminal_size::terminal_size().map_or(plan_view::WIDTH_DEFAULT, |(width, _)| usize::from(width.0));
        plan_view::render(&plan, shown, usize::from(args.workers), width)?
    };
    output::print_all(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Reads a specification or, for `-`, standard input, up to the greatest size that is accepted and one byte more.
pub(super) fn read_input(spec: &str) -> Result<Vec<u8>, Failure> {
    read_up_to(limits::INPUT_BYTES_MAX, spec, "give the path of a specification, or `-` for standard input")
}

/// Reads a file or, for `-`, standard input, up to so many bytes and one more.
pub(super) fn read_up_to(bytes_max: usize, path: &str, hint: &str) -> Result<Vec<u8>, Failure> {
    let limit = bytes_max as u64 + 1;
    let mut bytes = Vec::new();
    let read = match path {
        "-" => io::stdin().lock().take(limit).read_to_end(&mut bytes),
        path => File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)),
    };
    read.map_err(|error| Failure::usage(format!("cannot read {path}: {error}")).hint(hint))?;
    Ok(bytes)
}

/// The plan of what was read; where there is none, what is wrong is on stderr.
fn plan(ingested: Ingested, source: &str, target: Option<&str>) -> Result<Plan, Failure> {
    let Some(document) = ingested.document else {
        anstream::eprint!("{}", findings::render(&ingested.findings, source));
        let message = format!("{source} cannot be planned");
        return Err(Failure::usage(message).hint("mend the errors above; `--format` overrides what the document is taken for"));
    };
    plan_or_refuse(&document, ingested.findings, source, target)
}

/// The plan of a document that can be read; where there is none, the contradictions are on stderr. Needs no store.
pub(super) fn plan_or_refuse(document: &SpecDocument, noticed: Vec<Finding>, source: &str, target: Option<&str>) -> Result<Plan, Failure> {
    plan_document(document, noticed, target).map_err(|error| {
        if let PlanError::Contradictory(contradictions) = &error {
            anstream::eprint!("{}", findings::render(contradictions, source));
        }
        let failure = Failure::usage(error.to_string());
        error.hint().map_or_else(|| Failure::usage(error.to_string()), |hint| failure.hint(hint))
    })
}
