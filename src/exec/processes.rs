//! What `/proc` says about processes: children, descendants, resident memory. Linux only; elsewhere nothing is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::process::{Pid, PidfdFlags, Signal};

/// Even processes that start others as fast as they can are all stopped after a few passes: what is stopped starts nothing.
const STOP_PASSES_MAX: usize = 100;
/// A chain of parents is no longer; it ends at the first process of the machine.
const DEPTH_MAX: usize = 100_000;

/// The processes that are descendants of one process, and what they use together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Which there are.
    pub(super) pids: BTreeSet<u32>,
    /// Their resident memory together, in bytes; shared pages count for each.
    pub(super) rss_bytes: u64,
}

/// The processes whose parent is `parent`, zombies included.
pub(super) fn children(parent: u32) -> Vec<u32> {
    parents().into_iter().filter(|&(_, of)| of == parent).map(|(pid, _)| pid).collect()
}

/// What all descendants of `ancestor` use now.
pub(super) fn usage(ancestor: u32) -> Usage {
    let pids = descendants(&parents(), ancestor);
    let rss_bytes = pids.iter().filter_map(|pid| rss_bytes(*pid)).sum();
    Usage { pids, rss_bytes }
}

/// Ends all descendants of `ancestor`, wherever they have put themselves. They are stopped first, or those that are not found yet would
/// start new ones while the others end. Some may be left: of those that start processes fast, the ones started meanwhile.
pub(super) fn end_descendants(ancestor: u32) {
    let mut stopped = BTreeSet::new();
    for _ in 0..STOP_PASSES_MAX {
        let found = descendants(&parents(), ancestor);
        let new: Vec<u32> = found.difference(&stopped).copied().collect();
        if new.is_empty() {
            break;
        }
        for pid in new {
            signal_descendant(ancestor, pid, Signal::STOP);
            stopped.insert(pid);
        }
    }
    for pid in stopped {
        signal_descendant(ancestor, pid, Signal::KILL);
    }
}

/// Looks again once the process is held: an id that was given to somebody else meanwhile gets no signal.
fn signal_descendant(ancestor: u32, pid: u32, signal: Signal) {
    let Some(held) = Pid::from_raw(pid.cast_signed()).and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()) else {
        return;
    };
    let mut at = pid;
    for _ in 0..DEPTH_MAX {
        match fs::read_to_string(format!("/proc/{at}/stat")).ok().and_then(|stat| parent_of(&stat)) {
            Some(parent) if parent == ancestor => {
                // It fails when the process has ended, which is what is wanted.
                let _ = rustix::process::pidfd_send_signal(&held, signal);
                return;
            }
            Some(parent) => at = parent,
            None => return,
        }
    }
}

/// How many threads the user has: what the kernel counts against its limit on processes.
pub(super) fn threads_of(uid: u32) -> u64 {
    let owned = pids().into_iter().filter(|pid| fs::metadata(format!("/proc/{pid}")).is_ok_and(|entry| entry.uid() == uid));
    owned.filter_map(|pid| status_number(pid, "Threads:")).sum()
}

fn descendants(parents: &[(u32, u32)], ancestor: u32) -> BTreeSet<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (pid, parent) in parents {
        children.entry(*parent).or_default().push(*pid);
    }
    let mut found = BTreeSet::new();
    let mut open = vec![ancestor];
    while let Some(pid) = open.pop() {
        // A set, because pids may be reused between two reads and form a circle.
        open.extend(children.get(&pid).into_iter().flatten().copied().filter(|child| found.insert(*child)));
    }
    found
}

fn parents() -> Vec<(u32, u32)> {
    pids().into_iter().filter_map(|pid| Some((pid, parent_of(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?))).collect()
}

/// The program's name in parentheses may itself contain spaces and parentheses, so fields count from the last one.
fn parent_of(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn rss_bytes(pid: u32) -> Option<u64> {
    status_number(pid, "VmRSS:").map(|kib| kib * 1024)
}

fn status_number(pid: u32, key: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(key))?.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_hide_the_parent() {
        assert_eq!(parent_of("7 (a) b (c) S 42 7 7 0"), Some(42));
        assert_eq!(parent_of("7 (a"), None);
    }

    #[test]
    fn descendants_are_found_at_every_depth_and_circles_end() {
        assert_eq!(descendants(&[(2, 1), (3, 2), (4, 3), (5, 9)], 1), BTreeSet::from([2, 3, 4]));
        assert_eq!(descendants(&[(2, 3), (3, 2)], 2), BTreeSet::from([2, 3]));
    }
}
