//! Confinement by Landlock: which files a command may see and change, which TCP ports it may use, whom it may signal.
//!
//! Nothing needs to be installed and no privilege is needed. What the kernel offers is found out by trying, and every
//! result carries its [`Tier`], so a weaker sandbox is never silent. Landlock does not cover: UDP and ICMP, UNIX sockets
//! in the file system, which host a TCP port belongs to, and metadata (`stat` of any path works).
//! Reading `/proc/PID/environ` of processes outside the sandbox is refused by the kernel's ptrace check; but root's
//! capabilities would get around that (`CAP_PERFMON`) and around limits (`CAP_SYS_RESOURCE`), so they are given up first.

use std::fmt;
use std::path::{Path, PathBuf};
use std::thread;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, NetPort, PathBeneath, PathFd, RestrictionStatus,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use rustix::thread::{CapabilitySet, CapabilitySets};
use serde::{Deserialize, Serialize};

use super::{Command, Network};

/// The access rights that are asked for; an older kernel enforces those that it knows.
const RIGHTS: ABI = ABI::V6;

/// What every command may read and execute: programs, libraries and what the C library, name resolution, TLS and the
/// time zones need. From `/etc` only what holds no secret. Missing ones are left out.
pub const SYSTEM_PATHS: [&str; 38] = [
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/bin",
    "/sbin",
    "/nix/store",
    "/proc",
    "/sys/fs/cgroup",
    "/sys/devices/system/cpu",
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/debian_version",
    "/etc/gai.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/pki",
    "/etc/protocols",
    "/etc/python3",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl",
    "/etc/timezone",
];

/// The capabilities that a command started by root keeps: those about files and about becoming a lesser user.
const KEPT_CAPABILITIES: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID);

/// What every command may write besides its own directories.
const WRITABLE_DEVICES: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/full"];

/// How well a command is, or would be, confined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// The version of Landlock's interface that is used; 0 when the kernel has none.
    pub landlock_abi: u8,
    /// True when files outside the named paths are out of reach.
    pub filesystem: bool,
    /// True when TCP ports outside the named ones are out of reach.
    pub network: bool,
    /// True when processes outside the sandbox cannot be signalled.
    pub signals: bool,
}

impl Tier {
    fn of(abi: u8) -> Self {
        Self { landlock_abi: abi, filesystem: abi >= 1, network: abi >= 4, signals: abi >= 6 }
    }
}

impl fmt::Display for Tier {
    /// One sentence for `doctor`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.landlock_abi == 0 {
            return out.write_str("no Landlock: commands run with limits and a cleared environment, but see every file and every port");
        }
        write!(out, "Landlock {}: files confined", self.landlock_abi)?;
        out.write_str(if self.network { ", TCP ports confined" } else { ", network not confined" })?;
        out.write_str(if self.signals { ", signals confined" } else { ", signals not confined" })
    }
}

/// What this kernel offers, found out by confining a thread that then ends.
pub fn probe() -> Tier {
    let tried = thread::spawn(|| Ruleset::default().handle_access(AccessFs::Execute)?.create()?.restrict_self());
    match tried.join() {
        Ok(Ok(status)) => tier_of(&status),
        _ => Tier::default(),
    }
}

/// Confines the calling thread and everything that it starts from now on; there is no way back.
///
/// # Errors
/// A sentence, when a writable path does not exist or the kernel refuses a rule. A kernel without Landlock is not an
/// error: the tier says so.
pub(super) fn confine_thread(command: &Command, scratch: &Path) -> Result<Tier, String> {
    let ruleset = rules(command, scratch)?;
    give_up_capabilities();
    let status = ruleset.restrict_self().map_err(|error| format!("Landlock refused the rules: {error}"))?;
    let mut tier = tier_of(&status);
    if status.ruleset == RulesetStatus::NotEnforced {
        tier = Tier::default();
    }
    tier.network &= command.network != Network::Any;
    Ok(tier)
}

fn rules(command: &Command, scratch: &Path) -> Result<RulesetCreated, String> {
    let mut created = handled(&command.network).map_err(|error| format!("Landlock refused the rules: {error}"))?;
    let read = AccessFs::from_read(RIGHTS);
    let readable = SYSTEM_PATHS.iter().map(PathBuf::from).chain(command.readable.iter().cloned()).chain([command.dir.clone()]);
    for path in readable {
        created = allow(created, &path, read, Missing::Skip)?;
    }
    let all = AccessFs::from_all(RIGHTS);
    for path in command.writable.iter().map(PathBuf::as_path).chain([scratch]) {
        created = allow(created, path, all, Missing::Refuse)?;
    }
    for device in WRITABLE_DEVICES {
        created = allow(created, Path::new(device), AccessFs::ReadFile | AccessFs::WriteFile, Missing::Skip)?;
    }
    if let Network::Ports(ports) = &command.network {
        for port in ports {
            let rule = NetPort::new(*port, AccessNet::BindTcp | AccessNet::ConnectTcp);
            created = created.add_rule(rule).map_err(|error| format!("Landlock refused port {port}: {error}"))?;
        }
    }
    Ok(created)
}

fn handled(network: &Network) -> Result<RulesetCreated, RulesetError> {
    let mut ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort).handle_access(AccessFs::from_all(RIGHTS))?;
    if *network != Network::Any {
        ruleset = ruleset.handle_access(AccessNet::from_all(RIGHTS))?;
    }
    ruleset.scope(Scope::from_all(RIGHTS))?.create()
}

/// Takes them out of the sets from which the next `exec` makes root's capabilities. Other users have none to give up, and a
/// container that does not let root do this has not given it the dangerous ones, so refusals are not errors.
fn give_up_capabilities() {
    for capability in CapabilitySet::all().iter().filter(|capability| !KEPT_CAPABILITIES.contains(*capability)) {
        let _ = rustix::thread::remove_capability_from_bounding_set(capability);
    }
    let _ = rustix::thread::clear_ambient_capability_set();
    if let Ok(sets) = rustix::thread::capabilities(None) {
        let _ = rustix::thread::set_capabilities(None, CapabilitySets { inheritable: CapabilitySet::empty(), ..sets });
    }
}

/// What to do about a path that does not exist.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Skip,
    Refuse,
}

fn allow(created: RulesetCreated, path: &Path, rights: BitFlags<AccessFs>, missing: Missing) -> Result<RulesetCreated, String> {
    let opened = match PathFd::new(path) {
        Ok(opened) => opened,
        Err(_) if missing == Missing::Skip => return Ok(created),
        Err(error) => return Err(format!("cannot open {}: {error}", path.display())),
    };
    let rights = if path.is_dir() { rights } else { rights & AccessFs::from_file(RIGHTS) };
    created.add_rule(PathBeneath::new(opened, rights)).map_err(|error| format!("Landlock refused {}: {error}", path.display()))
}

fn tier_of(status: &RestrictionStatus) -> Tier {
    match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => Tier::of(u8::try_from(effective_abi as i32).unwrap_or(0)),
        _ => Tier::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_names_what_is_missing() {
        assert!(Tier::default().to_string().starts_with("no Landlock"));
        assert_eq!(Tier::of(3).to_string(), "Landlock 3: files confined, network not confined, signals not confined");
        assert_eq!(Tier::of(7).to_string(), "Landlock 7: files confined, TCP ports confined, signals confined");
    }

    #[test]
    fn probing_leaves_this_process_free() {
        let tier = probe();
        assert_eq!(tier, probe());
        // A confined thread could not create a file; this one can.
        assert!(tempfile::NamedTempFile::new().is_ok());
    }
}
