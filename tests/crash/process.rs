//! A worker's process: started with what is to befall it, watched, and started again.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::worker::{SETTINGS, Settings};

/// What is to befall a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disaster {
    /// It dies at a named place, when it comes there for the how many-th time.
    At(&'static str, u32),
    /// It is killed so long after its start.
    After(Duration),
}

/// A worker while it runs.
pub struct Process {
    child: Child,
    said: PathBuf,
}

/// How a worker is started: the same executable, told by the environment what it is.
pub fn command(settings: &Settings, armed: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("--worker").env(SETTINGS, serde_json::to_string(settings).unwrap()).env("SPECWAVE_FAILPOINTS", armed);
    command
}

impl Process {
    /// Starts it; what it says goes to a file beside the effects.
    pub fn start(settings: &Settings, mut command: Command) -> Self {
        let said = settings.effects.with_file_name(format!("{}-{}.stderr", settings.name, fastrand::u64(..)));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&said).unwrap()).kill_on_drop(true).spawn();
        Self { child: child.unwrap(), said }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()).unwrap()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// True while it is stopped by a signal.
    pub fn stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid().as_raw_nonzero())).unwrap();
        stat.rsplit_once(") ").unwrap().1.starts_with('T')
    }

    /// Waits for its end.
    pub async fn end(&mut self) -> ExitStatus {
        self.child.wait().await.unwrap()
    }

    /// Waits for its end, and kills it when that is not there by then.
    async fn end_or_kill(&mut self, within: Duration) -> ExitStatus {
        if let Ok(status) = tokio::time::timeout(within, self.end()).await {
            return status;
        }
        self.signal(Signal::KILL);
        self.end().await
    }

    /// Waits for its end, which must be a good one.
    pub async fn succeed(&mut self) {
        let status = self.end().await;
        assert!(status.success(), "a worker ended with {status}\n{}", self.said());
    }

    /// What it has said on stderr.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.said).unwrap_or_default()
    }
}

/// Keeps a worker at work until the run has ended: whenever it was killed it is started again, with the next disaster, and in the end
/// with none. Returns by what it was killed, how often.
pub async fn keep_working(settings: &Settings, disasters: Vec<Disaster>) -> BTreeMap<String, usize> {
    let mut kills: BTreeMap<String, usize> = BTreeMap::new();
    let mut disasters = disasters.into_iter();
    loop {
        let disaster = disasters.next();
        let armed = match disaster {
            Some(Disaster::At(point, hit)) => format!("{point}={hit}"),
            _ => String::new(),
        };
        let mut process = Process::start(settings, command(settings, &armed));
        let status = match disaster {
            Some(Disaster::After(moment)) => process.end_or_kill(moment).await,
            _ => process.end().await,
        };
        if status.success() {
            return kills;
        }
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "a worker ended with {status}\n{}", process.said());
        let place = match disaster {
            Some(Disaster::At(point, _)) => point,
            _ => "any moment",
        };
        *kills.entry(place.to_owned()).or_default() += 1;
    }
}
