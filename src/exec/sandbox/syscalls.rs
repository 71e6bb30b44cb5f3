//! The filter of system calls (seccomp): what Landlock does not see, and what no build, test or agent needs.
//!
//! Refused are io_uring (its requests pass by every filter), tracing and reading other processes, namespaces and mounts, kernel
//! modules and programs, keyrings, clocks, and the sockets that the command's [`Network`] does not include. A refused call fails
//! with an error instead of killing, so programs fall back in an orderly way. Called by the sandbox only; the filter holds for the
//! calling thread and what it starts, for good. What it names was read from the kernel's own interfaces and from the profile that
//! containers run under by default; the compiler of filters is the crate `seccompiler`.

use std::collections::BTreeMap;
use std::io;
use std::net::UdpSocket;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch, apply_filter,
};

use super::{Command, Confinement, Level, Network};

/// Refused whatever their arguments are.
const REFUSED: &[c_long] = &[
    // Requests in shared memory, which no filter sees.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Other processes: their memory, files and state.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Programs and events in the kernel, and faults that a program answers: where most of its holes were.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_fanotify_init,
    libc::SYS_lookup_dcookie,
    // Keyrings are not part of any namespace.
    libc::SYS_add_key,
    libc::SYS_keyctl,
    libc::SYS_request_key,
    // Mounts, roots and namespaces; `clone` is below.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_unshare,
    libc::SYS_setns,
    // The machine.
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_nfsservctl,
    libc::SYS_vhangup,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
];

/// The namespaces that `clone` must not make.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWUTS,
];

/// Requests of `ioctl` that put characters into a terminal, as if its user had typed them.
const TERMINAL_REQUESTS: [u32; 2] = [0x5412, 0x541C];
/// The bits of a socket's type that are its type; others are flags.
const TYPE_BITS: u64 = 0xf;
/// Every type of socket but streams: datagrams, raw, reliable datagrams, sequenced packets, DCCP, packets.
const NO_STREAMS: [u64; 6] = [2, 3, 4, 5, 6, 10];
/// The protocols of a stream that Landlock covers: the default and TCP. MPTCP, SCTP and SMC pass it by.
const TCP: [u64; 2] = [0, 6];
/// The routing family of netlink, with which programs list the machine's own addresses.
const NETLINK_ROUTE: u64 = 0;

/// Applies a filter to the calling thread for good and sees whether it holds.
pub(super) fn probe() -> Result<(), String> {
    let mut command = Command::new(["true"], "/");
    command.confinement = Confinement::Required(Level::Seccomp);
    filter(&command, Level::Seccomp)?;
    match UdpSocket::bind("127.0.0.1:0") {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        _ => Err("the kernel took the filter of system calls and does not enforce it".to_owned()),
    }
}

/// Applies the filter to the calling thread for good.
pub(super) fn filter(command: &Command, level: Level) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("the filter of system calls was refused: {error}");
    let mut programs = Vec::new();
    for (rules, errno) in rules(command, level).map_err(|error| failed(&error))? {
        programs.push(compile(rules, errno).map_err(|error| failed(&error))?);
    }
    programs.extend(foreign_numbers());
    programs.iter().try_for_each(|program| apply_filter(program)).map_err(|error| failed(&error))
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Which calls fail, and with which error. A call without rules always does.
fn rules(command: &Command, level: Level) -> Result<Vec<(Rules, libc::c_int)>, seccompiler::BackendError> {
    let mut refused: Rules = REFUSED.iter().map(|number| (*number, Vec::new())).collect();
    let namespaces = NAMESPACES.map(|flag| u64::from(flag.cast_unsigned()));
    refused.insert(libc::SYS_clone, any(namespaces.map(|flag| vec![(0, SeccompCmpOp::MaskedEq(flag), flag)]))?);
    refused.insert(libc::SYS_ioctl, any(TERMINAL_REQUESTS.map(|request| vec![(1, SeccompCmpOp::Eq, u64::from(request))]))?);
    // The flags of `clone3` are in memory, where a filter cannot look. C libraries fall back to `clone` when there is no such call.
    let absent = Rules::from([(libc::SYS_clone3, Vec::new())]);
    let all = vec![(refused, libc::EPERM), (absent, libc::ENOSYS)];
    match sockets(command, level)? {
        None => Ok(all),
        Some(sockets) => Ok(all.into_iter().chain([(sockets, libc::EACCES)]).collect()),
    }
}

/// Landlock sees connects and binds of TCP; this is about everything else.
fn sockets(command: &Command, level: Level) -> Result<Option<Rules>, seccompiler::BackendError> {
    let number = |family: libc::c_int| u64::from(family.cast_unsigned());
    let (inet, inet6, netlink, unix) = (number(libc::AF_INET), number(libc::AF_INET6), number(libc::AF_NETLINK), number(libc::AF_UNIX));
    // Landlock does not see UNIX sockets in the file system, behind which there may be a container engine or a database. In a mount
    // namespace there are none but the command's own; and what is no agent's choice may have its own. `socketpair` is no way out.
    let local = level >= Level::Bubblewrap || !matches!(command.confinement, Confinement::Required(_));
    let mut families = match command.network {
        Network::None => Vec::new(),
        Network::Ports(_) => vec![inet, inet6, netlink],
        Network::Any => return Ok(None),
    };
    families.extend(local.then_some(unix));
    if families.is_empty() {
        return Ok(Some(Rules::from([(libc::SYS_socket, Vec::new())])));
    }
    let mut socket = vec![families.iter().map(|family| (0, SeccompCmpOp::Ne, *family)).collect::<Vec<_>>()];
    if command.network != Network::None {
        for family in [inet, inet6] {
            let own = (0, SeccompCmpOp::Eq, family);
            socket.extend(NO_STREAMS.map(|kind| vec![own.clone(), (1, SeccompCmpOp::MaskedEq(TYPE_BITS), kind)]));
            socket.push(TCP.iter().map(|protocol| (2, SeccompCmpOp::Ne, *protocol)).chain([own]).collect());
        }
        socket.push(vec![(0, SeccompCmpOp::Eq, netlink), (2, SeccompCmpOp::Ne, NETLINK_ROUTE)]);
    }
    // With TCP Fast Open the first `send` connects, and no check of a connect takes place.
    let fast_open = number(libc::MSG_FASTOPEN);
    let sending = |argument| any([vec![(argument, SeccompCmpOp::MaskedEq(fast_open), fast_open)]]);
    Ok(Some(Rules::from([
        (libc::SYS_socket, any(socket)?),
        (libc::SYS_sendto, sending(3)?),
        (libc::SYS_sendmsg, sending(2)?),
        (libc::SYS_sendmmsg, sending(3)?),
    ])))
}

/// Argument, comparison, value.
type Condition = (u8, SeccompCmpOp, u64);

/// Rules of which one must hold, each of conditions that must all hold. All arguments compared here are 32 bits wide: the kernel
/// ignores the upper half, so the filter must, too.
fn any(rules: impl IntoIterator<Item = Vec<Condition>>) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let condition = |(argument, comparison, value)| SeccompCondition::new(argument, SeccompCmpArgLen::Dword, comparison, value);
    rules.into_iter().map(|rule| SeccompRule::new(rule.into_iter().map(condition).collect::<Result<_, _>>()?)).collect()
}

/// A process of another architecture than this program's is killed by its first call: the numbers mean other things there.
fn compile(rules: Rules, errno: libc::c_int) -> Result<BpfProgram, seccompiler::BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno.cast_unsigned()), arch)?.try_into()
}

/// On x86-64 kernels with the x32 interface every call has a second number, which the compiler of filters does not know.
fn foreign_numbers() -> Option<BpfProgram> {
    const X32_BIT: u32 = 0x4000_0000;
    /// BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JGE | BPF_K, BPF_RET | BPF_K.
    const LOAD: u16 = 0x20;
    const JUMP_FROM: u16 = 0x35;
    const RETURN: u16 = 0x06;
    const ABSENT: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned();
    let statement = |code, k| seccompiler::sock_filter { code, jt: 0, jf: 0, k };
    cfg!(target_arch = "x86_64").then(|| {
        vec![
            // The number of the call is the first word of what a filter sees.
            statement(LOAD, 0),
            seccompiler::sock_filter { code: JUMP_FROM, jt: 0, jf: 1, k: X32_BIT },
            statement(RETURN, ABSENT),
            statement(RETURN, libc::SECCOMP_RET_ALLOW),
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_and_level_compiles_within_the_kernels_limit() {
        for network in [Network::None, Network::Ports(vec![80]), Network::Any] {
            for confinement in [Confinement::Available, Confinement::Required(Level::Seccomp)] {
                let mut command = Command::new(["true"], "/");
                (command.network, command.confinement) = (network.clone(), confinement);
                for (rules, errno) in rules(&command, Level::Seccomp).unwrap() {
                    assert!(!rules.is_empty());
                    assert!(compile(rules, errno).unwrap().len() < 1024);
                }
            }
        }
    }

    #[test]
    fn nothing_stands_twice() {
        let mut numbers = REFUSED.to_vec();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), REFUSED.len());
    }
}
