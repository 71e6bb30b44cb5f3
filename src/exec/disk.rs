//! How much disk a command takes: what lies in the directories it may write, and what its processes hold open without a name.
//!
//! Called by the supervisor, which compares it with what was there at the start. Looking is work: a tree of many files is looked at
//! less often, but at once when the file system suddenly has less room. Never follows links.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A file without content takes a directory entry and an inode: so much is counted for every one, or the number of files would have no limit.
const ENTRY_BYTES: u64 = 512;
/// The unit of `st_blocks`.
const BLOCK_BYTES: u64 = 512;
/// Looking may take one part in so many of the time.
const SHARE: u32 = 20;
/// Looking stops here and counts what it has seen; with [`ENTRY_BYTES`] that is 2 GiB.
const ENTRIES_MAX: u64 = 4 << 20;

/// The writable directories of one command.
#[derive(Debug)]
pub(super) struct Disk {
    roots: Vec<PathBuf>,
    at_start_bytes: u64,
    limit_bytes: u64,
    /// The room that the file systems had when the tree was last looked at.
    room_bytes: u64,
    grown_bytes: u64,
    next_at: Instant,
}

impl Disk {
    /// Looks at what is there before the command starts. It blocks.
    pub(super) fn new(mut roots: Vec<PathBuf>, limit_bytes: u64) -> Self {
        // What lies in another one counts there.
        roots.sort();
        roots.dedup_by(|inner, outer| inner.starts_with(outer));
        let now = Instant::now();
        let mut disk = Self { roots, at_start_bytes: 0, limit_bytes, room_bytes: 0, grown_bytes: 0, next_at: now };
        disk.at_start_bytes = disk.look(&[]);
        disk
    }

    /// True when the command has taken more than it may. `pids` are its processes. It blocks.
    pub(super) fn exceeded(&mut self, pids: &BTreeSet<u32>) -> bool {
        let lost = self.room_bytes.saturating_sub(self.room());
        if Instant::now() >= self.next_at || self.grown_bytes.saturating_add(lost) > self.limit_bytes {
            let pids: Vec<u32> = pids.iter().copied().collect();
            self.grown_bytes = self.look(&pids).saturating_sub(self.at_start_bytes);
        }
        self.grown_bytes > self.limit_bytes
    }

    fn look(&mut self, pids: &[u32]) -> u64 {
        let start = Instant::now();
        self.room_bytes = self.room();
        let mut seen = Seen::default();
        for root in &self.roots {
            seen.tree(root.clone());
        }
        for pid in pids {
            seen.unnamed(*pid);
        }
        self.next_at = Instant::now() + start.elapsed().saturating_mul(SHARE).max(Duration::from_millis(1));
        seen.bytes
    }

    /// What is free where the directories are; those on the same file system count once each, which only makes a look come sooner.
    fn room(&self) -> u64 {
        let stats = self.roots.iter().filter_map(|root| rustix::fs::statvfs(root).ok());
        stats.map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize)).fold(0, u64::saturating_add)
    }
}

#[derive(Debug, Default)]
struct Seen {
    bytes: u64,
    entries: u64,
    /// Device and inode of what has several names or several holders.
    shared: BTreeSet<(u64, u64)>,
}

impl Seen {
    fn tree(&mut self, root: PathBuf) {
        let mut open = vec![root];
        while let Some(path) = open.pop() {
            if self.entries >= ENTRIES_MAX {
                return;
            }
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            self.add(&metadata);
            if metadata.is_dir() {
                open.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
            }
        }
    }

    /// Deleted files and memory files that a process holds: no directory shows them.
    fn unnamed(&mut self, pid: u32) {
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            let Ok(metadata) = fs::metadata(entry.path()) else { continue };
            if metadata.is_file() && metadata.nlink() == 0 {
                self.add(&metadata);
            }
        }
    }

    fn add(&mut self, metadata: &fs::Metadata) {
        let once = metadata.is_file() && metadata.nlink() != 1;
        if once && !self.shared.insert((metadata.dev(), metadata.ino())) {
            return;
        }
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(metadata.blocks().saturating_mul(BLOCK_BYTES)).saturating_add(ENTRY_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_growth_counts_and_every_file_once() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(dir.path().join("old"), vec![1; 1 << 20]).unwrap();
        fs::write(other.path().join("foreign"), vec![1; 1 << 20]).unwrap();
        let mut disk = Disk::new(vec![dir.path().to_owned()], 300_000);
        let mut check = |expected| {
            disk.next_at = Instant::now();
            assert_eq!(disk.exceeded(&BTreeSet::new()), expected, "{disk:?}");
        };
        check(false);
        symlink(other.path(), dir.path().join("link")).unwrap();
        fs::write(dir.path().join("new"), vec![1; 200_000]).unwrap();
        fs::hard_link(dir.path().join("new"), dir.path().join("again")).unwrap();
        check(false);
        fs::write(dir.path().join("more"), vec![1; 200_000]).unwrap();
        check(true);
    }

    #[test]
    fn many_empty_files_are_much() {
        let dir = tempfile::tempdir().unwrap();
        let mut disk = Disk::new(vec![dir.path().to_owned()], 64 * ENTRY_BYTES);
        for name in 0..200 {
            fs::write(dir.path().join(name.to_string()), "").unwrap();
        }
        disk.next_at = Instant::now();
        assert!(disk.exceeded(&BTreeSet::new()));
    }

    #[test]
    fn what_has_no_name_any_more_counts_while_it_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let mut disk = Disk::new(vec![dir.path().to_owned()], 300_000);
        fs::write(dir.path().join("held"), vec![1; 1 << 20]).unwrap();
        let held = fs::File::open(dir.path().join("held")).unwrap();
        fs::remove_file(dir.path().join("held")).unwrap();
        disk.next_at = Instant::now();
        assert!(disk.exceeded(&BTreeSet::from([std::process::id()])));
        drop(held);
        disk.next_at = Instant::now();
        assert!(!disk.exceeded(&BTreeSet::from([std::process::id()])));
    }
}
