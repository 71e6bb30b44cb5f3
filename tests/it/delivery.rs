//! Deliveries through the real binary: what is not ours stays, a full disk and a rival change nothing, a kill is rolled forward, undo
//! brings back what was there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use specwave::exec::output::Output;
use tempfile::TempDir;

use crate::installation::{Ended, Installation, NOTES, alive, file, fresh_name, until};

/// The notes with one more column: a second version, with a second migration.
fn second_version() -> String {
    NOTES.replace("\n\n## Endpoints", "\n| pinned | boolean | default false |\n\n## Endpoints")
}

/// Every file below a directory, but for what specwave keeps there itself.
fn disk(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap().flatten().filter(|entry| entry.file_name() != ".specwave") {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn put(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn warned(ended: &Ended, text: &str) -> bool {
    ended.events.iter().any(|event| event["event"] == "warning" && event["message"].as_str().unwrap().contains(text))
}

/// A file system of four megabytes, where it may be mounted; it goes with this value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "specwave-test"]).arg(at).output();
        let mounted = mounted.is_ok_and(|output| output.status.success());
        mounted.then(|| Self(at.to_owned()))
    }

    /// Leaves no block free.
    fn fill(&self) {
        use std::io::Write;
        let mut filler = fs::File::create(self.0.join("filler")).unwrap();
        while filler.write_all(&[0; 4096]).is_ok() {}
    }

    fn make_room(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn what_is_not_ours_stays_a_full_disk_changes_nothing_and_undo_brings_back_what_was_there() {
    let (installation, scratch) = (Installation::shared(), TempDir::new().unwrap());
    let small = SmallDisk::mount(&scratch.path().join("disk"));
    let (out, name) = (scratch.path().join("disk/out"), fresh_name("delivery"));
    let spec = file(scratch.path(), "notes.md", NOTES);
    put(&out, "Dockerfile", "mine\n");
    let ended = installation.run(&spec, &out, &name).end();
    ended.expect(0, "succeeded");
    assert!(warned(&ended, "Dockerfile is not ours and stays as it is; --force replaces it"));

    let theirs = [".git/HEAD", ".venv/bin/python", ".env", "app.db", "src/notes/extra.py", "README.md", "Dockerfile"];
    for path in theirs {
        put(&out, path, "mine\n");
    }
    let before = disk(&out);
    fs::write(&spec, second_version()).unwrap();
    if let Some(disk_of_4_mb) = &small {
        disk_of_4_mb.fill();
        let ended = installation.run(&spec, &out, &name).end();
        assert_eq!(ended.code, Some(3), "{}", ended.said);
        assert!(ended.said.contains("no space left") && ended.said.contains("hint: free some space"), "{}", ended.said);
        assert_eq!(disk(&out), before, "the tree of the first version is whole");
        disk_of_4_mb.make_room();
    } else {
        eprintln!("not tried: a full disk, because no file system may be mounted here; `output::` tries a writer that may not go on");
    }

    let ended = installation.run(&spec, &out, &name).end();
    ended.expect(0, "succeeded");
    assert_eq!(ended.how().contains("resumed"), small.is_some(), "{}", ended.how());
    assert!(warned(&ended, "README.md was edited and stays as it is; --force replaces it"));
    assert!(warned(&ended, "Dockerfile is not ours"));
    let after = disk(&out);
    assert!(theirs.iter().all(|path| after[Path::new(path)] == b"mine\n"));
    assert!(String::from_utf8_lossy(&after[Path::new("src/notes/models/note.py")]).contains("pinned"));

    installation.run_with(&spec, &out, &name, &["--force"]).end().expect(0, "succeeded");
    let forced = disk(&out);
    let replaced: Vec<&str> = theirs.into_iter().filter(|path| forced[Path::new(path)] != b"mine\n").collect();
    assert_eq!(replaced, ["README.md", "Dockerfile"]);

    let undone = installation.call(&["undo", out.to_str().unwrap()]);
    assert_eq!(undone.status.code(), Some(0), "{}", String::from_utf8_lossy(&undone.stderr));
    assert_eq!(disk(&out), after);
    let again = installation.call(&["undo", out.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(again.status.code() == Some(2) && said.contains("nothing to undo") && said.contains("hint:"), "{said}");
}

#[test]
fn two_runs_into_one_directory_exclude_each_other_and_a_killed_delivery_is_rolled_forward() {
    let (installation, scratch) = (Installation::shared(), TempDir::new().unwrap());
    let (out, name) = (scratch.path().join("out"), fresh_name("rivals"));
    let spec = file(scratch.path(), "notes.md", NOTES);
    installation.run(&spec, &out, &name).end().expect(0, "succeeded");
    let before = disk(&out);
    fs::write(&spec, second_version()).unwrap();

    // A rival that holds the directory from before the start, and one that comes in before the delivery.
    let rival = Output::open(&out).unwrap();
    let ended = installation.run(&spec, &out, &name).end();
    assert_eq!((ended.code, ended.events.len()), (Some(2), 0), "{}", ended.said);
    assert!(ended.said.contains("another specwave process is using the output directory"), "{}", ended.said);
    assert!(ended.said.contains("hint: wait until the other run has ended"), "{}", ended.said);
    drop(rival);
    let mut running = installation.run(&spec, &out, &name);
    running.until_phase("validate");
    let rival = Output::open(&out).unwrap();
    let ended = running.end();
    assert_eq!(ended.code, Some(3), "{}", ended.said);
    assert!(ended.said.contains("another specwave process is using the output directory"), "{}", ended.said);
    assert_eq!(disk(&out), before);
    drop(rival);

    // Killed as soon as the journal says what is to be done: some renames are done then, or none, or all.
    let running = installation.run(&spec, &out, &name);
    let journal = out.join(".specwave/journal.json");
    until("the delivery begins", || journal.exists() || !alive(running.pid()));
    running.signal(Signal::KILL);
    running.end();
    let ended = installation.run(&spec, &out, &name).end();
    ended.expect(0, "succeeded");
    assert!(!journal.exists());
    let after = disk(&out);
    assert!(after.keys().any(|path| path.to_string_lossy().contains("versions/0002")), "{:?}", after.keys());
    let undone = installation.call(&["undo", out.to_str().unwrap()]);
    assert_eq!(undone.status.code(), Some(0), "{}", String::from_utf8_lossy(&undone.stderr));
    assert_eq!(disk(&out), before, "the whole first version is back");
}
