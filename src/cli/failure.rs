//! How a command fails: a line for the person, a code for the machine.

use std::fmt;
use std::process::ExitCode;

use crate::embed;
use crate::engine::EngineError;
use crate::pipeline::PipelineError;
use crate::store::cache::CacheError;
use crate::store::graph::GraphError;
use crate::store::postgres::StoreError;
use crate::store::projection::relay::TargetError;
use crate::store::vectors::VectorsError;

/// The exit code of usage errors and bad input.
pub const BAD_INPUT: u8 = 2;
/// The exit code of a run that finished partial or failed.
pub const UNFINISHED: u8 = 3;
/// The exit code of a cancelled or paused run.
pub const CANCELLED: u8 = 4;
/// The exit code of an unavailable store.
pub const STORE_UNAVAILABLE: u8 = 5;

/// An error that knows its exit code and what to do about it.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// Wrong usage or bad input.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: BAD_INPUT, message: message.into(), hint: None }
    }

    /// A failure of the database: unavailable, or a defect.
    pub fn database(error: &StoreError) -> Self {
        let code = if error.is_unavailable() { STORE_UNAVAILABLE } else { 1 };
        Self { code, message: chain(error), hint: error.hint().map(str::to_owned) }
    }

    /// A run that could not be finished.
    pub fn unfinished(message: impl Into<String>) -> Self {
        Self { code: UNFINISHED, message: message.into(), hint: None }
    }

    /// The same with something to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(out, "\n  hint: {hint}"))
    }
}

impl std::error::Error for Failure {}

/// Prints what went wrong, cause by cause, and returns the code to exit with.
pub fn report_failure(error: &anyhow::Error) -> ExitCode {
    let red = anstyle::AnsiColor::Red.on_default().bold();
    anstream::eprintln!("{red}error{red:#}: {}", crate::redact::redact(&error.to_string()));
    for cause in error.chain().skip(1) {
        anstream::eprintln!("  caused by: {}", crate::redact::redact(&cause.to_string()));
    }
    if let Some(hint) = error.chain().find_map(hint_of) {
        anstream::eprintln!("  hint: {hint}");
    }
    ExitCode::from(code_of(error))
}

/// What to do about an error that did not become a [`Failure`], which carries its own hint.
fn hint_of(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let store = || error.downcast_ref::<StoreError>().and_then(StoreError::hint);
    let engine = || error.downcast_ref::<EngineError>().and_then(EngineError::hint);
    let pipeline = || error.downcast_ref::<PipelineError>().and_then(PipelineError::hint);
    let known = store().or_else(engine).or_else(pipeline).map(str::to_owned);
    let known = known.or_else(|| error.downcast_ref::<CacheError>().map(CacheError::hint).map(str::to_owned));
    let known = known.or_else(|| error.downcast_ref::<GraphError>().and_then(GraphError::hint).map(str::to_owned));
    let known = known.or_else(|| error.downcast_ref::<VectorsError>().map(VectorsError::hint).map(str::to_owned));
    let known = known.or_else(|| error.downcast_ref::<TargetError>().and_then(TargetError::hint).map(str::to_owned));
    known.or_else(|| error.downcast_ref::<embed::Missing>().map(embed::Missing::hint))
}

/// An error and its causes on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}

fn code_of(error: &anyhow::Error) -> u8 {
    let known = |cause: &(dyn std::error::Error + 'static)| {
        let store = cause.downcast_ref::<StoreError>().filter(|error| error.is_unavailable()).map(|_| STORE_UNAVAILABLE);
        let engine = cause.downcast_ref::<EngineError>().filter(|error| !matches!(error, EngineError::Store(_))).map(|_| BAD_INPUT);
        // Whoever gets on without a projection does; what ends a command is one that it is about.
        let code = |address: bool| if address { BAD_INPUT } else { STORE_UNAVAILABLE };
        let cache = cause.downcast_ref::<CacheError>().map(|error| code(matches!(error, CacheError::Address { .. })));
        let graph = cause.downcast_ref::<GraphError>().map(|error| code(matches!(error, GraphError::Address { .. })));
        let vectors = cause.downcast_ref::<VectorsError>().map(|error| code(matches!(error, VectorsError::Address { .. })));
        let away = cause.downcast_ref::<TargetError>().filter(|error| matches!(error, TargetError::Away { .. })).map(|_| STORE_UNAVAILABLE);
        let projection = cache.or(graph).or(vectors).or(away);
        cause.downcast_ref::<Failure>().map(|failure| failure.code).or(store).or(engine).or(projection)
    };
    error.chain().find_map(known).unwrap_or(1)
}
