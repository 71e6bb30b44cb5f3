//! Runs that grow in a repository of the user's, and files that several units change. The agents are the scripts of `trees`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::installation::{Ended, Running, STEPS, fresh_name, until};
use crate::trees::{Stage, out, units};

/// Two steps that do not depend on each other.
const TWO: &str = "# Tools\n\nThe project must hold two tools.\n\n# Logical Dependency Chain\n\n1. First tool.\n2. Second tool.\n";

/// Runs git as a person would, in a directory, and gives what it prints.
fn person(dir: &Path, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    git.current_dir(dir).args(arguments).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    for who in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{who}_NAME"), "A Person").env(format!("GIT_{who}_EMAIL"), "person@localhost");
    }
    let answer = git.output().unwrap();
    assert!(answer.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&answer.stderr));
    String::from_utf8_lossy(&answer.stdout).trim_end().to_owned()
}

fn write(root: &Path, path: &str, content: &str) {
    let target = root.join(path);
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    fs::write(target, content).unwrap();
}

/// A repository with two commits, of which the first is tagged `v1`.
fn repository() -> TempDir {
    let dir = TempDir::new().unwrap();
    person(dir.path(), &["init", "--quiet", "--initial-branch=main"]);
    write(dir.path(), "README.md", "# Theirs\n");
    person(dir.path(), &["add", "--all"]);
    person(dir.path(), &["commit", "--quiet", "--message=first"]);
    person(dir.path(), &["tag", "v1"]);
    write(dir.path(), "lib/theirs.txt", "theirs\n");
    write(dir.path(), "other/far.txt", "far\n");
    person(dir.path(), &["add", "--all"]);
    person(dir.path(), &["commit", "--quiet", "--message=second"]);
    dir
}

/// Every file below a directory with its mode and content, but git's objects and the branches of runs.
fn snapshot(root: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let (mut found, mut open) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let below = path.strip_prefix(root).unwrap();
            if below.starts_with(".git/objects") || below.starts_with(".git/refs/heads/specwave") {
                continue;
            }
            let data = fs::symlink_metadata(&path).unwrap();
            if data.is_dir() {
                open.push(path);
            } else {
                found.insert(below.to_owned(), (data.permissions().mode(), fs::read(&path).unwrap()));
            }
        }
    }
    found
}

fn grow(stage: &Stage, repository: &Path, name: &str, more: &[&str]) -> Ended {
    let repo = ["--repo", repository.to_str().unwrap()];
    Running::start(stage.command_with(STEPS, name, &[&repo, more].concat())).end()
}

/// The name of the run's branch, which the report gives together with the repository.
fn branch(report: &Value, repository: &Path) -> String {
    assert_eq!(report["branch"]["repository"].as_str(), repository.canonicalize().unwrap().to_str());
    report["branch"]["branch"].as_str().unwrap().to_owned()
}

/// The keys of the units whose work is on a branch, by its trailers.
fn landed(repository: &Path, range: &str) -> Vec<String> {
    let format = "--format=%(trailers:key=Specwave-Unit,valueonly,separator=%x2c)";
    person(repository, &["log", "--reverse", format, range]).lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Lets the scripts of both units go on once each has a tree. In the end both have succeeded.
fn side_by_side(stage: &Stage, mut running: Running) -> Ended {
    let begun = running.until("a run has begun", |event| event["event"] == "run_started");
    let trees = stage.installation.data_dir().join("worktrees").join(begun["run"].as_str().unwrap());
    until("both have a tree", || fs::read_dir(&trees).is_ok_and(|units| units.count() >= 2));
    write(stage.folder.path(), "go", "");
    let ended = running.end();
    let states: Vec<String> = units(&ended).into_values().map(|(state, _)| state).collect();
    assert_eq!(states, vec!["succeeded"; states.len()], "{}", ended.said);
    ended
}

#[test]
fn a_run_grows_in_the_users_repository_and_leaves_all_of_it_as_it_was() {
    let user = repository();
    let hooked = user.path().join(".git/hooked");
    for hook in ["reference-transaction", "post-commit", "pre-commit", "post-checkout", "post-index-change", "post-rewrite"] {
        let path = user.path().join(".git/hooks").join(hook);
        write(user.path(), &format!(".git/hooks/{hook}"), &format!("#!/bin/sh\ntouch {}\n", hooked.display()));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let quietly = |arguments: &[&str]| person(user.path(), &[&["-c", "core.hooksPath=/dev/null"], arguments].concat());
    let inner = quietly(&["rev-parse", "HEAD"]);
    quietly(&["update-index", "--add", "--cacheinfo", &format!("160000,{inner},sub")]);
    quietly(&["commit", "--quiet", "--message=sub"]);
    quietly(&["sparse-checkout", "set", "--no-cone", "/README.md", "/lib/"]);
    assert!(!user.path().join("other").exists(), "a part of it is not checked out");
    write(user.path(), "README.md", "# Theirs, and not committed\n");
    write(user.path(), "staged.txt", "staged\n");
    quietly(&["add", "--sparse", "staged.txt"]);
    write(user.path(), "untracked.txt", "untracked\n");
    let start = quietly(&["rev-parse", "HEAD"]);
    let before = snapshot(user.path());

    // The third step says what it found.
    let stage = Stage::new(
        "write; [ \"$n\" != 3 ] || { cat README.md; ls . lib other src; } | sed 's/^/# /' >> src/step_3.py\ndone_with Done\n",
        "",
    );
    let name = fresh_name("grown");
    let ended = grow(&stage, user.path(), &name, &[]);
    let report = ended.expect(3, "partial");
    assert!(snapshot(user.path()) == before, "only objects and the run's branch were added");
    assert!(!hooked.exists(), "no hook ran");
    let branch = branch(report, user.path());
    assert_eq!(report["branch"]["start"].as_str(), Some(start.as_str()));
    assert_eq!(landed(user.path(), &format!("{start}..{branch}")).len(), units(&ended).len());
    let third = quietly(&["show", &format!("{branch}:src/step_3.py")]);
    for expected in ["# # Theirs", "# theirs.txt", "# far.txt", "# step_1.py", "# step_2.py"] {
        assert!(third.lines().any(|line| line == expected), "{expected} is not in\n{third}");
    }
    assert!(!third.contains("not committed") && !third.contains("untracked"), "{third}");
    assert_eq!(quietly(&["diff", "--name-only", "--diff-filter=MD", &start, &branch]), "", "nothing of theirs was changed or removed");
    quietly(&["fsck", "--strict"]);
    assert!(ended.how().contains(&format!("it grows from {start}")), "{}", ended.how());
    // Nothing was put anywhere else, and people are told where it is.
    let there: Vec<String> =
        fs::read_dir(stage.folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(there.iter().all(|file| ["hands", "hands.toml", "spec.md"].contains(&file.as_str())), "{there:?}");
    let shown = stage.say(&["report", report["run"].as_str().unwrap()]);
    assert!(shown.contains(&format!("{branch} of {}", user.path().canonicalize().unwrap().display())), "{shown}");

    // Once more from elsewhere, and into a directory as well.
    let out = stage.folder.path().join("out");
    let again = grow(&stage, user.path(), &name, &["--base", "v1", "--out", out.to_str().unwrap()]);
    let report = again.expect(3, "partial");
    let second = report["branch"]["branch"].as_str().unwrap();
    assert_ne!(second, branch);
    assert_eq!(quietly(&["merge-base", second, "v1"]), quietly(&["rev-parse", "v1"]));
    assert!(fs::read_to_string(out.join("src/step_1.py")).unwrap().contains("return 1"));
    assert!(!out.join("README.md").exists(), "what the units wrote is delivered");
    assert!(snapshot(user.path()) == before);
}

#[test]
fn what_nothing_can_grow_in_is_refused_before_anything_is_written() {
    let stage = Stage::new("write; done_with Done\n", "");
    let user = repository();
    person(user.path(), &["branch", "specwave"]);
    let (empty, unborn) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    person(unborn.path(), &["init", "--quiet"]);
    let taken = user.path().to_str().unwrap().to_owned();
    let missing = empty.path().join("missing");
    let check = |path: &Path, more: &[&str], expected: &str| {
        let before = snapshot(path.ancestors().find(|dir| dir.exists()).unwrap());
        let mut command = stage.command_with(STEPS, "refused", &[&["--repo", path.to_str().unwrap()], more].concat());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected) && said.contains("hint:"), "{said}");
        assert!(snapshot(path.ancestors().find(|dir| dir.exists()).unwrap()) == before);
    };
    check(&missing, &[], "No such file or directory");
    check(empty.path(), &[], "not a git repository");
    check(unborn.path(), &[], "no commit yet");
    check(Path::new(&taken), &[], "a branch whose name the run's branches start with");
    person(user.path(), &["branch", "-D", "specwave"]);
    check(user.path(), &["--base", "v9"], "no commit v9");
    assert!(stage.say(&["status"]).contains("no run yet"));
    // A bare one has nothing that could be disturbed.
    let bare = empty.path().join("bare.git");
    person(empty.path(), &["clone", "--quiet", "--bare", &taken, bare.to_str().unwrap()]);
    let ended = grow(&stage, &bare, &fresh_name("bare"), &[]);
    let branch = branch(ended.expect(3, "partial"), &bare);
    assert_eq!(landed(&bare, &format!("main..{branch}")).len(), units(&ended).len());
}

#[test]
fn two_units_that_change_the_same_undeclared_file_at_once_both_end_up_in_it() {
    // Each waits until the other has begun, and the one that is sent back says whether it was told both sides.
    let stage = Stage::new(
        "write\n\
         case $prompt in\n\
         *'+step 1'*'+step 2'*|*'+step 2'*'+step 1'*) printf '# told both\\n' >> \"src/step_$n.py\" ;;\n\
         *) while [ ! -e \"${0%/*}/go\" ]; do sleep 0.05; done ;;\n\
         esac\n\
         printf 'step %s\\n' \"$n\" >> CHANGES.md\n\
         done_with Done\n",
        "",
    );
    let running = Running::start(stage.command(TWO, &fresh_name("shared"), &["--allow-undeclared"]));
    let ended = side_by_side(&stage, running);
    let report = ended.expect(3, "partial");
    let run = report["run"].as_str().unwrap();
    let merged = person(&stage.repository(run), &["show", &format!("{}:CHANGES.md", report["branch"]["branch"].as_str().unwrap())]);
    let mut lines: Vec<&str> = merged.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["step 1", "step 2"], "neither is lost");
    assert_eq!(out(&stage, "CHANGES.md").trim_end(), merged, "what is delivered is what was merged");
    let told = ["1", "2"].iter().filter(|n| out(&stage, &format!("src/step_{n}.py")).contains("# told both")).count();
    assert_eq!(told, 1, "the second one was told both changes");
    let logs = stage.say(&["logs", run]);
    assert!(logs.contains("it conflicts with"), "{logs}");
    let undeclared =
        |unit: &Value| unit["undeclared"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let reported: Vec<String> = report["units"].as_array().unwrap().iter().flat_map(undeclared).collect();
    assert!(reported.len() == 1 && reported[0].starts_with("CHANGES.md ("), "{reported:?}");
    let shown = stage.say(&["report", run]);
    assert!(shown.contains("Files that no unit declares") && shown.contains("CHANGES.md"), "{shown}");
}

#[test]
fn two_changes_that_fit_line_by_line_but_not_together_are_not_merged() {
    // The first one makes all of the file a string, the second one puts a string into the middle of it. The one that comes later is told.
    let user = repository();
    let lines: Vec<String> = (0..20).map(|number| format!("V{number} = {number}")).collect();
    write(user.path(), "shared.py", &format!("{}\n", lines.join("\n")));
    person(user.path(), &["add", "--all"]);
    person(user.path(), &["commit", "--quiet", "--message=shared"]);
    let stage = Stage::new(
        "write\n\
         case $prompt in\n\
         *'merged with what others have done since'*) printf '# told so\\n' >> \"src/step_$n.py\"; done_with Done; exit 0 ;;\n\
         *) while [ ! -e \"${0%/*}/go\" ]; do sleep 0.05; done ;;\n\
         esac\n\
         case $n in\n\
         1) { echo '\"\"\"All of it.'; cat shared.py; echo '\"\"\"'; } > new; mv new shared.py ;;\n\
         2) sed -i 's/^V10 = 10$/V10 = \"\"\"ten\"\"\"/' shared.py ;;\n\
         esac\n\
         done_with Done\n",
        "",
    );
    let repo = ["--repo", user.path().to_str().unwrap(), "--allow-undeclared"];
    let running = Running::start(stage.command_with(TWO, &fresh_name("together"), &repo));
    let ended = side_by_side(&stage, running);
    let report = ended.expect(3, "partial");
    let branch = branch(report, user.path());
    let merged = person(user.path(), &["show", &format!("{branch}:shared.py")]);
    let (whole, inner) = (merged.starts_with("\"\"\"All of it."), merged.contains("\"\"\"ten\"\"\""));
    assert!(whole != inner, "one of both, never both: {merged}");
    let late = if whole { "2" } else { "1" };
    let told = |n: &str| person(user.path(), &["show", &format!("{branch}:src/step_{n}.py")]).contains("# told so");
    assert!(told(late) && !told(if whole { "1" } else { "2" }));
    let logs = stage.say(&["logs", report["run"].as_str().unwrap()]);
    assert!(logs.contains("merged with what others have done since, skill/"), "{logs}");
}
