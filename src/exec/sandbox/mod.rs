//! Confinement of commands: which files one may see and change, which ports it may use, whom it may signal, what it may ask
//! of the kernel.
//!
//! There are levels, each of which includes those below it. What the machine offers is found out by trying, once for each
//! process ([`offered`]), and every result carries the [`Tier`] that it ran at, so a weaker sandbox is never silent.
//! `ruleset` is Landlock, `syscalls` the filter of system calls, `bubblewrap` the namespaces. Called by the supervisor,
//! which confines, and by whoever shows what is offered. It never decides which level a command needs; see
//! [`Confinement`].

mod bubblewrap;
mod paths;
mod ruleset;
mod syscalls;

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::OnceLock;
use std::thread;

use serde::{Deserialize, Serialize};

pub(super) use bubblewrap::{arguments as bubblewrap_arguments, program as bubblewrap_program};
pub use paths::SYSTEM_PATHS;

use super::{Command, Confinement, Network};

/// How well a command can be confined. Each level includes those below it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Limits, a cleared environment and an own process group; every file and port is within reach.
    #[default]
    None,
    /// Landlock: files, TCP ports, signals and abstract UNIX sockets, as far as the kernel's version goes.
    Landlock,
    /// And a filter of system calls: no UDP, raw or MPTCP sockets, no io_uring, no tracing of processes, no namespaces, no mounts.
    Seccomp,
    /// And bubblewrap: own namespaces for mounts, processes, messages and, without network, for that too.
    Bubblewrap,
}

impl Level {
    /// All of them, the weakest first.
    pub const ALL: [Self; 4] = [Self::None, Self::Landlock, Self::Seccomp, Self::Bubblewrap];

    /// Its name, as in settings and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
            Self::Bubblewrap => "bubblewrap",
        }
    }

    /// What a command can still do at this level, for people who decide which one is enough.
    pub fn gaps(self) -> &'static str {
        match self {
            Self::None => "everything that its user can",
            Self::Landlock => {
                "send UDP and other datagrams, reach TCP ports by MPTCP and Fast Open, connect to UNIX sockets in the file system, reach allowed TCP ports of every host, use io_uring, see processes and the metadata of every file"
            }
            Self::Seccomp => "reach allowed TCP ports of every host, see processes and the metadata of every file",
            Self::Bubblewrap => "reach allowed TCP ports of every host",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// There is no such level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no level of the sandbox\n  hint: none, landlock, seccomp or bubblewrap")]
pub struct NoSuchLevel(String);

impl FromStr for Level {
    type Err = NoSuchLevel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|level| level.as_str() == text).ok_or_else(|| NoSuchLevel(text.to_owned()))
    }
}

/// How well a command is, or would be, confined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// The level.
    pub level: Level,
    /// The version of Landlock's interface that is used; 0 when none is.
    pub landlock_abi: u8,
    /// True when files outside the named paths are out of reach.
    pub filesystem: bool,
    /// True when TCP ports outside the named ones are out of reach.
    pub network: bool,
    /// True when processes outside the sandbox cannot be signalled.
    pub signals: bool,
}

impl Tier {
    /// What a version of Landlock gives alone.
    fn landlock(abi: u8) -> Self {
        let level = if abi >= 1 { Level::Landlock } else { Level::None };
        Self { level, landlock_abi: abi, filesystem: abi >= 1, network: abi >= 4, signals: abi >= 6 }
    }

    /// With a level above Landlock's, where there is Landlock to be above.
    fn raised(self, level: Level) -> Self {
        if self.level == Level::None { self } else { Self { level, ..self } }
    }
}

impl fmt::Display for Tier {
    /// One sentence for `doctor` and for records.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.level == Level::None {
            return out.write_str("not confined: commands run with limits and a cleared environment, but see every file and every port");
        }
        write!(out, "Landlock {}: files confined", self.landlock_abi)?;
        out.write_str(if self.network { ", TCP ports confined" } else { ", TCP ports not confined" })?;
        out.write_str(if self.signals { ", signals confined" } else { ", signals not confined" })?;
        match self.level {
            Level::None | Level::Landlock => Ok(()),
            Level::Seccomp => out.write_str("; system calls filtered"),
            Level::Bubblewrap => out.write_str("; system calls filtered; own namespaces by bubblewrap"),
        }
    }
}

/// What the machine offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The strongest that works, without regard to a command's network.
    pub tier: Tier,
    /// Why the next level does not work; none when all do.
    pub why_not_more: Option<String>,
}

/// What the machine offers, tried at the first call. It blocks for as long as a process takes to start.
pub fn offered() -> &'static Offer {
    static OFFERED: OnceLock<Offer> = OnceLock::new();
    OFFERED.get_or_init(probe)
}

/// Tries one level after the other: with threads that confine themselves and end, and with a real run of bubblewrap.
pub fn probe() -> Offer {
    let tier = match thread::spawn(ruleset::probe).join() {
        Ok(Some(abi)) => Tier::landlock(abi),
        _ => Tier::default(),
    };
    let short = |tier: Tier, why: String| Offer { tier, why_not_more: Some(why) };
    if tier.level == Level::None {
        return short(tier, "the kernel has no Landlock (it takes Linux 5.13, and it may be switched off at boot)".to_owned());
    }
    match thread::spawn(syscalls::probe).join() {
        Ok(Ok(())) => {}
        Ok(Err(why)) => return short(tier, why),
        Err(_) => return short(tier, "the thread that tried the filter of system calls died".to_owned()),
    }
    match bubblewrap::probe() {
        Ok(()) => Offer { tier: tier.raised(Level::Bubblewrap), why_not_more: None },
        Err(why) => short(tier.raised(Level::Seccomp), why),
    }
}

/// The level that a command is run at where this much is offered, or why it must not be run.
pub(super) fn choose(command: &Command, offer: &Offer) -> Result<Level, String> {
    if command.confinement == Confinement::Off {
        return Ok(Level::None);
    }
    let level = offer.tier.level.min(command.level_max);
    match command.confinement {
        Confinement::Required(needed) if level < needed => {
            let why = match &offer.why_not_more {
                _ if offer.tier.level > level => "the command is not to use more".to_owned(),
                Some(why) => why.clone(),
                None => "it does not work".to_owned(),
            };
            Err(format!("it needs the sandbox level {needed} and would get {level}: {why}"))
        }
        _ => Ok(level),
    }
}

/// Confines the calling thread and everything that it starts from now on; there is no way back.
///
/// # Errors
/// A sentence, when a writable path does not exist or the kernel refuses what was asked of it.
pub(super) fn confine_thread(command: &Command, scratch: &Path, level: Level) -> Result<Tier, String> {
    if level == Level::None {
        return Ok(Tier::default());
    }
    let abi = ruleset::restrict(command, scratch, level)?;
    let mut tier = Tier::landlock(abi);
    if tier.level == Level::None {
        return Err("Landlock was not enforced".to_owned());
    }
    if level >= Level::Seccomp {
        syscalls::filter(command, level)?;
        tier = tier.raised(level);
    }
    tier.network &= command.network != Network::Any;
    Ok(tier)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(level: Level) -> Offer {
        Offer { tier: Tier::landlock(7).raised(level), why_not_more: Some("bwrap is missing".to_owned()) }
    }

    #[test]
    fn the_sentence_names_what_is_missing() {
        assert!(Tier::default().to_string().starts_with("not confined"));
        assert_eq!(Tier::landlock(3).to_string(), "Landlock 3: files confined, TCP ports not confined, signals not confined");
        let seccomp = Tier::landlock(7).raised(Level::Seccomp);
        assert_eq!(seccomp.to_string(), "Landlock 7: files confined, TCP ports confined, signals confined; system calls filtered");
        assert_eq!(Tier::landlock(0).raised(Level::Bubblewrap).level, Level::None, "nothing stands above what is not there");
    }

    #[test]
    fn levels_are_ordered_and_have_names() {
        assert!(Level::None < Level::Landlock && Level::Landlock < Level::Seccomp && Level::Seccomp < Level::Bubblewrap);
        for level in Level::ALL {
            assert_eq!(level.as_str().parse(), Ok(level));
            assert_eq!(serde_json::to_value(level).unwrap(), level.as_str());
        }
        assert!("chroot".parse::<Level>().unwrap_err().to_string().contains("hint: none, landlock"));
    }

    #[test]
    fn a_command_gets_what_is_offered_unless_it_needs_more() {
        let check = |confinement, level_max, offered, expected: Result<Level, &str>| {
            let mut command = Command::new(["true"], "/");
            (command.confinement, command.level_max) = (confinement, level_max);
            assert_eq!(choose(&command, &offer(offered)), expected.map_err(str::to_owned));
        };
        let (all, most) = (Level::Bubblewrap, Level::Seccomp);
        check(Confinement::Available, all, most, Ok(Level::Seccomp));
        check(Confinement::Available, Level::Landlock, most, Ok(Level::Landlock));
        check(Confinement::Off, all, most, Ok(Level::None));
        check(Confinement::Required(Level::Landlock), all, most, Ok(Level::Seccomp));
        check(
            Confinement::Required(Level::Bubblewrap),
            all,
            most,
            Err("it needs the sandbox level bubblewrap and would get seccomp: bwrap is missing"),
        );
        check(
            Confinement::Required(Level::Seccomp),
            Level::Landlock,
            most,
            Err("it needs the sandbox level seccomp and would get landlock: the command is not to use more"),
        );
    }

    #[test]
    fn probing_leaves_this_process_free() {
        assert_eq!(&probe(), offered());
        // A confined thread could do neither; this one can.
        assert!(tempfile::NamedTempFile::new().is_ok());
        assert!(std::net::UdpSocket::bind("127.0.0.1:0").is_ok());
    }
}
