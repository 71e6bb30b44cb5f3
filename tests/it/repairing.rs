//! What an agent wrote and the running service proves wrong goes back to the unit that owns it, and to nothing that does not follow from it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use specwave::generate::Prior;
use tempfile::TempDir;

use crate::generated::write_project;
use crate::installation::{Installation, Running, file, fresh_name};
use crate::probe::read;

const SPEC: &str = "# Notes\n\nShort notes.\n\n## Entities\n\n### Note\n\nSomething to remember.\n\n| field | type | rules |\n| --- | --- | --- |\n\
                    | title | string | required, length 1..80 |\n\n## Endpoints\n\n| method | path | purpose | entity |\n| --- | --- | --- | --- |\n\
                    | GET | /notes | list | Note |\n| POST | /notes | create | Note |\n| GET | /notes/{id} | read | Note |\n\
                    | PATCH | /notes/{id} | change | Note |\n| DELETE | /notes/{id} | delete | Note |\n";

/// Writes what is asked for; a router at first at wrong addresses, which no check of a unit can see, and right when it is told of it.
const HANDS: &str = r#"#!/bin/sh
prompt=$(cat)
for path in $(printf '%s\n' "$prompt" | sed -n '/^Write these files/,/^$/s/^- //p'); do
    mkdir -p "$(dirname "$path")"
    case $path in
    */routers/*)
        case $prompt in
        *"was done before"*) cat "GOOD/$path" ;;
        *) sed 's|"/notes|"/elsewhere|' "GOOD/$path" ;;
        esac >"$path" ;;
    *) cat "GOOD/$path" >"$path" ;;
    esac
done
printf '{"type":"result","subtype":"success","is_error":false,"num_turns":1,"result":"Done.","session_id":"s"}\n'
"#;

#[test]
fn low_compliance_reopens_the_unit_that_owns_it_and_what_follows_from_it() {
    let (installation, folder) = (Installation::own(), TempDir::new().unwrap());
    let good = folder.path().join("good");
    write_project(&read(SPEC.as_bytes(), "spec.md"), &good, &Prior::default());
    let program = file(folder.path(), "hands", HANDS.replace("GOOD", good.to_str().unwrap()));
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let profile = format!(
        "[[profile]]\nname = \"hands\"\nkind = \"command\"\n[profile.settings]\npreset = \"claude\"\nprogram = [\"{}\"]\nreadable = [\"{}\"]\n",
        program.display(),
        folder.path().display()
    );
    let profile = file(folder.path(), "hands.toml", profile);
    assert!(installation.call(&["agents", "add", profile.to_str().unwrap()]).status.success());
    file(folder.path(), "specwave.toml", "[agents]\nrules = \"api = hands\"\n");
    let (spec, out, name) = (file(folder.path(), "spec.md", SPEC), folder.path().join("out"), fresh_name("repairing"));
    let mut command = installation.command(&["run", spec.to_str().unwrap(), "--out", out.to_str().unwrap(), "--name", &name, "--json"]);
    command.current_dir(folder.path());
    let ended = Running::start(command).end();
    let report = ended.expect(0, "succeeded");

    // Two rounds: the first one proved next to nothing, and only the router and what follows from it were done again.
    let rounds = |phase: &str| report["phases"].as_array().unwrap().iter().filter(|one| one["phase"] == phase).count();
    assert_eq!((rounds("validate"), rounds("repair")), (2, 1), "{}", report["phases"]);
    let run = report["run"].as_str().unwrap();
    let mut tries: BTreeMap<&str, u32> = BTreeMap::new();
    let logs: Value = serde_json::from_slice(&installation.call(&["logs", run, "--json"]).stdout).unwrap();
    for attempt in logs["attempts"].as_array().unwrap().iter().filter(|attempt| attempt["outcome"] == "succeeded") {
        *tries.entry(attempt["unit"].as_str().unwrap()).or_default() += 1;
    }
    assert_eq!((tries["router/notes"], tries["project/app"]), (2, 2), "{tries:?}");
    assert_eq!((tries["model/note"], tries["service/note"]), (1, 1), "{tries:?}");
    let why = installation.call(&["why", "router/notes", "--run", run]);
    let why = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(why.contains("is not met"), "{why}");
    assert_eq!(report["compliance"]["score"].as_f64(), Some(1.0), "{}", report["compliance"]);
    let router = |root: &std::path::Path| fs::read_to_string(root.join("src/notes/routers/notes.py")).unwrap();
    assert_eq!(router(&out), router(&good));
    let of_agents: Vec<&Value> = report["units"].as_array().unwrap().iter().filter(|unit| unit["agent"] == "hands").collect();
    assert!(!of_agents.is_empty(), "{}", report["units"]);
}
