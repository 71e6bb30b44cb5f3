//! A command that was executed for a run, as the command line and the HTTP interface show it. It reads rows and decides nothing.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::exec::{Confinement, Limits, Network};
use crate::model::{Phase, WorkerId};
use crate::store::postgres::commands::CommandRow;

/// A command that was executed.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Executed {
    /// Its id; those of later commands are later.
    pub id: Uuid,
    /// The phase that it was for.
    #[schema(value_type = Option<Phase>)]
    pub phase: Option<String>,
    /// The key of the unit that it was for.
    pub unit: Option<String>,
    /// The token of the try at that unit.
    pub token: Option<i64>,
    /// The process that ran it.
    pub worker: WorkerId,
    /// The program and its arguments, without secrets. Of a word 500 characters are kept, of words 256.
    pub argv: Vec<String>,
    /// The working directory.
    pub directory: String,
    /// What it could reach.
    pub network: String,
    /// The level of the sandbox that it needed, `available` where it took what there was, or `off`.
    pub needed: String,
    /// How it was confined; null while it runs, and when it never ran.
    pub sandbox: Option<String>,
    /// How much it could use.
    pub limits: ExecutedLimits,
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    pub began_at: OffsetDateTime,
    /// How it ended, in words; null while it runs, and for good where the process that ran it was killed.
    pub outcome: Option<String>,
    /// Its exit code, when it had one.
    pub exit_code: Option<i32>,
    /// How long it ran.
    pub duration_ms: Option<u64>,
    /// The most resident memory that its processes were seen to have at once, sampled four times a second.
    pub peak_rss_bytes: Option<u64>,
    /// What it asked for and was not given: to run with less confinement than it needs, or a host. What the kernel refuses is not seen.
    pub denials: Vec<String>,
}

/// How much a command could use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct ExecutedLimits {
    /// Time on the wall.
    pub wall_ms: u64,
    /// Processor time of each process.
    pub cpu_secs: u64,
    /// Private memory of each process, and resident memory of all together.
    pub memory_bytes: u64,
    /// Processes at once.
    pub processes: u64,
    /// Size of each written file.
    pub file_size_bytes: u64,
    /// What it could add to its directories.
    pub disk_bytes: u64,
    /// Open files of each process.
    pub open_files: u64,
}

impl From<CommandRow> for Executed {
    fn from(row: CommandRow) -> Self {
        let (unit, token) = row.place.unit.unzip();
        let ended = row.ended.as_ref();
        Self {
            id: row.id,
            phase: row.place.phase,
            unit,
            token,
            worker: row.worker,
            argv: row.argv,
            directory: row.directory,
            network: reach(&row.network),
            needed: needed(row.confinement).to_owned(),
            sandbox: ended.and_then(|ended| ended.sandbox.clone()),
            limits: ExecutedLimits::from(row.limits),
            began_at: row.began_at,
            outcome: ended.map(|ended| ended.outcome.clone()),
            exit_code: ended.and_then(|ended| ended.exit_code),
            duration_ms: ended.map(|ended| millis(ended.duration)),
            peak_rss_bytes: ended.and_then(|ended| ended.peak_rss_bytes),
            denials: row.ended.map(|ended| ended.denials).unwrap_or_default(),
        }
    }
}

impl From<Limits> for ExecutedLimits {
    fn from(limits: Limits) -> Self {
        let Limits { wall, cpu_secs, memory_bytes, processes, file_size_bytes, disk_bytes, open_files, output_bytes: _ } = limits;
        Self { wall_ms: millis(wall), cpu_secs, memory_bytes, processes, file_size_bytes, disk_bytes, open_files }
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn reach(network: &Network) -> String {
    match network {
        Network::None => "none".to_owned(),
        Network::Ports(ports) => format!("TCP ports {}", ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")),
        Network::Any => "any".to_owned(),
    }
}

fn needed(confinement: Confinement) -> &'static str {
    match confinement {
        Confinement::Required(level) => level.as_str(),
        Confinement::Available => "available",
        Confinement::Off => "off",
    }
}
