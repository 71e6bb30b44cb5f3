//! Landlock: which files a thread and what it starts may see and change, which TCP ports they may use, whom they may signal.
//!
//! Nothing needs to be installed and no privilege is needed; older kernels enforce what they know. Called by the sandbox only.
//! Landlock does not cover: datagrams, UNIX sockets in the file system, which host a TCP port belongs to, and metadata (`stat`
//! of any path works). Reading `/proc/PID/environ` of processes outside the sandbox is refused by the kernel's ptrace check; but
//! root's capabilities would get around that (`CAP_PERFMON`) and around limits (`CAP_SYS_RESOURCE`), so they are given up first.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, NetPort, PathBeneath, PathFd, RestrictionStatus,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::paths::{SYSTEM_PATHS, WRITABLE_DEVICES};
use super::{Command, Level, Network};

/// The access rights that are asked for; an older kernel enforces those that it knows.
const RIGHTS: ABI = ABI::V6;
/// Inside bubblewrap this is the command's own.
const PRIVATE_TMP: &str = "/tmp";

/// The capabilities that a command started by root keeps: those about files and about becoming a lesser user.
const KEPT_CAPABILITIES: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID);

/// Confines the calling thread for good; the version of the interface that works, none where there is none.
pub(super) fn probe() -> Option<u8> {
    let status = Ruleset::default().handle_access(AccessFs::Execute).ok()?.create().ok()?.restrict_self().ok()?;
    Some(abi_of(&status))
}

/// Confines the calling thread for good, and tells the version of the interface that is enforced: 0 when nothing is.
pub(super) fn restrict(command: &Command, scratch: &Path, level: Level) -> Result<u8, String> {
    let ruleset = rules(command, scratch, level)?;
    give_up_capabilities();
    let status = ruleset.restrict_self().map_err(|error| format!("Landlock refused the rules: {error}"))?;
    Ok(if status.ruleset == RulesetStatus::NotEnforced { 0 } else { abi_of(&status) })
}

fn rules(command: &Command, scratch: &Path, level: Level) -> Result<RulesetCreated, String> {
    let mut created = handled(&command.network).map_err(|error| format!("Landlock refused the rules: {error}"))?;
    let read = AccessFs::from_read(RIGHTS);
    let readable = SYSTEM_PATHS.iter().map(PathBuf::from).chain(command.readable.iter().cloned()).chain([command.dir.clone()]);
    for path in readable {
        created = allow(created, &path, read, Missing::Skip)?;
    }
    let all = AccessFs::from_all(RIGHTS);
    let tmp = (level == Level::Bubblewrap).then_some(Path::new(PRIVATE_TMP));
    for path in command.writable.iter().map(PathBuf::as_path).chain([scratch]).chain(tmp) {
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

fn abi_of(status: &RestrictionStatus) -> u8 {
    match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => u8::try_from(effective_abi as i32).unwrap_or(0),
        _ => 0,
    }
}
