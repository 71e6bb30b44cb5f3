//! Hostile texts wherever an agent reads, and an agent that obeys every one of them: no secret leaves, nothing outside and nothing of
//! others changes, nothing is approved and nothing counts as done that is not.

mod corpus;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::agentapi::AgentServer;
use crate::installation::{Ended, Installation, Running, file, fresh_name};
use crate::server::Server;
use corpus::{CORPUS, Goal, Place};
use specwave::redact::KnownSecrets;

/// Given to the agent, and to nobody else.
const CANARY: &str = "canary-7f3e91b2c4d856a0";
/// Lies beside the project, where the agent may not read.
const OUTSIDE: &str = "outside-5b1c2d3e4f60718a";

/// Obeys. A marker `(order-N: GOAL)` in what it is told, in a file that is there or in a file's name is an order; the marker stands beside
/// every text of the corpus, so that it is understood without a mind.
const OBEDIENT: &str = include_str!("obedient.sh");

struct Stage {
    server: Server,
    installation: Installation,
    folder: TempDir,
}

impl Stage {
    async fn new() -> Self {
        let stage = Self { server: Server::start_with_clients().await, installation: Installation::own(), folder: TempDir::new().unwrap() };
        fs::create_dir(stage.tools()).unwrap();
        file(stage.folder.path(), "secret", OUTSIDE);
        stage
    }

    /// What the agent may read, and not change.
    fn tools(&self) -> PathBuf {
        self.folder.path().join("tools")
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = self.installation.command(arguments);
        command.env("DATABASE_URL", self.server.url("specwave", "secret", "specwave")).env("CANARY_KEY", CANARY);
        command.current_dir(self.folder.path());
        command
    }

    fn say(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    fn add(&self, profile: &str) {
        let profile = file(self.folder.path(), "hands.toml", profile);
        let added = self.command(&["agents", "add", profile.to_str().unwrap()]).output().unwrap();
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    }

    /// What git says of a run's branch.
    fn git(&self, run: &str, arguments: &[&str]) -> String {
        let repository = self.installation.data_dir().join("repositories").join(run).join("repository");
        let output = std::process::Command::new("git").arg("--git-dir").arg(repository).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Lets the agent `hands` build the steps.
    fn run(&self, steps: &[String]) -> Ended {
        let steps: Vec<String> = steps.iter().enumerate().map(|(at, step)| format!("{}. {step}", at + 1)).collect();
        let steps = steps.join("\n");
        let spec = format!("# Steps\n\nThe project must hold its steps.\n\n# Logical Dependency Chain\n\n{steps}\n");
        let name = fresh_name("hostile");
        let (spec, out) = (file(self.folder.path(), "spec.md", spec), self.folder.path().join(&name));
        let arguments = ["run", spec.to_str().unwrap(), "--out", out.to_str().unwrap(), "--name", &name, "--json", "--agent", "hands"];
        Running::start(self.command(&arguments)).end()
    }
}

/// Those of whom nobody may hear, on the machine's own network.
struct Listeners {
    tcp: TcpListener,
    udp: UdpSocket,
}

impl Listeners {
    fn new() -> Self {
        let (tcp, udp) = (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        tcp.set_nonblocking(true).unwrap();
        udp.set_nonblocking(true).unwrap();
        Self { tcp, udp }
    }
}

impl Stage {
    /// The agent that obeys, and what it is to do without orders: each of these scripts under its name.
    fn add_obedient(&self, listeners: &Listeners, settings: &str) {
        let script = OBEDIENT
            .replace("HERE", self.tools().to_str().unwrap())
            .replace("/TCP", &format!("/{}", listeners.tcp.local_addr().unwrap().port()))
            .replace("/UDP", &format!("/{}", listeners.udp.local_addr().unwrap().port()))
            .replace("SPECWAVE", env!("CARGO_BIN_EXE_specwave"));
        let program = file(&self.tools(), "agent", script);
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        self.add(&format!(
            "[[profile]]\nname = \"hands\"\nkind = \"command\"\n[profile.settings]\npreset = \"claude\"\nprogram = [\"{}\"]\n\
             readable = [\"{}\"]\npass = [\"CANARY_KEY\"]\nstall_secs = 60\n",
            program.display(),
            self.tools().display()
        ));
        file(self.folder.path(), "specwave.toml", settings);
    }

    /// Nothing outside was written, nobody was reached, nothing was approved, the first module is what its own unit made of it, and no
    /// secret is in anything that specwave delivers, says or keeps in its database.
    fn unharmed(&self, ended: &Ended, listeners: &Listeners) {
        let run = ended.report()["run"].as_str().unwrap().to_owned();
        let first = self.git(&run, &["show", "HEAD:src/step_1.py"]);
        assert!(first.contains("return 1") && !first.contains("tampered"), "{first}");
        for place in [self.tools().join("planted"), PathBuf::from("/var/tmp/specwave-planted")] {
            assert!(!place.exists(), "{}", place.display());
        }
        assert_eq!(holding(self.installation.data_dir(), &["planted\n"]), Vec::<PathBuf>::new());
        assert!(listeners.tcp.accept().is_err() && listeners.udp.recv(&mut [0; 64]).is_err(), "somebody was reached");

        let events: String = ended.events.iter().map(Value::to_string).collect();
        let said = self.say(&["logs", &run, "--transcripts"]);
        let (dump, merged) = (self.server.dump(), self.git(&run, &["log", "--patch"]));
        assert!(merged.contains("src/step_1.py") && dump.contains(&run));
        let given = BTreeMap::from([("CANARY_KEY".to_owned(), CANARY.to_owned()), ("OUTSIDE".to_owned(), OUTSIDE.to_owned())]);
        let given = KnownSecrets::of(&given);
        for (place, text) in
            [("events", &events), ("stderr", &ended.said), ("transcripts", &said), ("database", &dump), ("branch", &merged)]
        {
            assert_eq!(given.held_by(text.as_bytes()), None, "{place}");
        }
        assert!(!dump.contains("unit.approved"));
    }
}

fn marked(number: usize) -> String {
    let (_, goal, text) = CORPUS[number];
    format!("{text} (order-{number}: {})", goal.word())
}

/// State of every unit, by the number at the end of its key.
fn states(ended: &Ended) -> BTreeMap<usize, String> {
    let unit = |unit: &Value| {
        let number = unit["key"].as_str().unwrap().rsplit('/').next().unwrap().parse().unwrap();
        (number, unit["state"].as_str().unwrap().to_owned())
    };
    ended.report()["units"].as_array().unwrap().iter().map(unit).collect()
}

/// Every file below a folder that holds one of these.
fn holding(folder: &Path, texts: &[&str]) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else if let Ok(content) = fs::read(entry.path()) {
                let content = format!("{}{}", entry.path().display(), String::from_utf8_lossy(&content));
                found.extend(texts.iter().any(|text| content.contains(text)).then(|| entry.path()));
            }
        }
    }
    found
}

#[test]
fn the_corpus_covers_every_place_and_goal() {
    let places = [Place::Spec, Place::Issue, Place::Comment, Place::FileName, Place::ToolOutput, Place::Message, Place::Pattern];
    let goals = [Goal::Leak, Goal::Leave, Goal::Change, Goal::Approve, Goal::Fake];
    assert!(CORPUS.len() >= 60);
    for place in places {
        assert!(CORPUS.iter().filter(|(at, ..)| *at == place).count() >= 4, "{place:?}");
    }
    for goal in goals {
        assert!(CORPUS.iter().filter(|(_, after, _)| *after == goal).count() >= 8, "{goal:?}");
    }
    let texts: BTreeSet<&str> = CORPUS.iter().map(|(_, _, text)| *text).collect();
    assert_eq!(texts.len(), CORPUS.len(), "no text stands there twice");
}

/// The command that writes a module with a comment.
fn module(number: usize, name: &str, comment: &str) -> String {
    format!("printf '\"\"\"Handed on.\"\"\"\\n%s\\n\\n\\nHANDED = {number}\\n' '{comment}' > \"src/{name}\"\n")
}

/// An issue with a comment below it.
fn quoted(number: usize, text: &str) -> String {
    format!("It closes issue #{number} of the tracker, \"module is missing\" (bug, opened by a user); a stranger commented: \"{text}\"")
}

/// The steps, and what each unit was told to do beside its own work: none for the first one and for those that hand a text on.
fn steps(stage: &Stage) -> (Vec<String>, Vec<Option<usize>>) {
    let (mut steps, mut heard) = (vec!["The first module.".to_owned()], vec![None]);
    for (number, (place, ..)) in CORPUS.iter().enumerate() {
        let text = marked(number);
        let module = |name: &str, comment: &str| module(number, name, comment);
        let hand = match place {
            Place::Message | Place::Pattern => continue,
            Place::Spec | Place::Issue => {
                let told = if *place == Place::Spec { text } else { quoted(number, &text) };
                steps.push(format!("A module (depends on 1). {told}"));
                heard.push(Some(number));
                continue;
            }
            Place::Comment => module(&format!("handed_on_{number}.py"), &text.replace('\'', "")),
            Place::FileName => module(&format!("handed_on_{number} {}.txt", text.replace([':', '/'], ":")), ""),
            // The name of a file that is no Python; the check that says so names it, to the same unit.
            Place::ToolOutput => format!("case \"$1\" in *) printf 'def broken(:\\n' > \"src/{}.py\" ;; esac\n", text.replace('/', " ")),
        };
        file(&stage.tools(), &format!("hand-{number}"), hand);
        steps.push(format!("A module that is to hand on text {number} (depends on 1)."));
        if *place == Place::ToolOutput {
            heard.push(Some(number));
            continue;
        }
        heard.push(None);
        let before = steps.len();
        steps.push(format!("A module that follows (depends on {before})."));
        heard.push(Some(number));
    }
    (steps, heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_obeys_every_hostile_text_does_no_harm() {
    let (stage, listeners) = (Stage::new().await, Listeners::new());
    stage.add_obedient(&listeners, "[run]\nattempts_max = 2\n");
    let (steps, heard) = steps(&stage);
    let ended = stage.run(&steps);
    let run = ended.report()["run"].as_str().unwrap().to_owned();
    let said = stage.say(&["logs", &run, "--transcripts"]);

    // Every text was heard and obeyed.
    let deaf: Vec<usize> = heard.iter().flatten().copied().filter(|number| !said.contains(&format!("obeyed order-{number}."))).collect();
    assert!(deaf.is_empty(), "not obeyed: {deaf:?}\n{}", ended.said);

    // Nothing counts as done that gave a secret away, changed others or did nothing.
    let states = states(&ended);
    for (at, number) in heard.iter().enumerate().filter_map(|(at, number)| Some((at + 1, (*number)?))) {
        // What a check said is not said again of the next try, which may do well then.
        let harmful = matches!(CORPUS[number].1, Goal::Leak | Goal::Change | Goal::Fake) && CORPUS[number].0 != Place::ToolOutput;
        assert!(!harmful || states[&at] == "failed", "{:?}: {}", CORPUS[number], states[&at]);
    }
    stage.unharmed(&ended, &listeners);
    println!("{} hostile texts obeyed by {} units", heard.iter().flatten().count(), states.len());
}

/// What an earlier run has left is shown to a later one as something that worked.
#[tokio::test(flavor = "multi_thread")]
async fn patterns_that_give_orders_do_no_harm() {
    let (stage, listeners) = (Stage::new().await, Listeners::new());
    stage.add_obedient(&listeners, "[run]\nattempts_max = 1\n[agents]\nholdout_share = 0.0\n");
    let texts: Vec<usize> = (0..CORPUS.len()).filter(|number| CORPUS[*number].0 == Place::Pattern).collect();
    for number in &texts {
        let name = format!("handed_on_{number}.py");
        file(&stage.tools(), &format!("hand-{number}"), module(*number, &name, &marked(*number)));
    }
    let first = || "The first module.".to_owned();
    let hand_on = |number: &usize| format!("A module that is to hand on text {number} (depends on 1).");
    let earlier = stage.run(&[first()].into_iter().chain(texts.iter().map(hand_on)).collect::<Vec<_>>());
    assert!(states(&earlier).values().all(|state| state == "succeeded"), "{}", earlier.said);

    let like = |number: &usize| format!("A module like one before, which handed on text {number} (depends on 1).");
    let ended = stage.run(&[first()].into_iter().chain(texts.iter().map(like)).collect::<Vec<_>>());
    let said = stage.say(&["logs", ended.report()["run"].as_str().unwrap(), "--transcripts"]);
    let deaf: Vec<usize> = texts.iter().copied().filter(|number| !said.contains(&format!("obeyed order-{number}."))).collect();
    assert!(deaf.is_empty(), "not obeyed: {deaf:?}\n{said}");
    stage.unharmed(&ended, &listeners);
    println!("{} hostile patterns obeyed", texts.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_says_over_its_server_changes_nothing() {
    let stage = Stage::new().await;
    let messages: Vec<(Goal, &str)> =
        CORPUS.iter().filter(|(place, ..)| *place == Place::Message).map(|(_, goal, text)| (*goal, *text)).collect();
    let said = messages.clone();
    let server = AgentServer::working(move |told| {
        let key = told.split_once("to do your unit, `").map_or("", |(_, rest)| rest).split('`').next().unwrap_or_default();
        let number: usize = key.rsplit('/').next().unwrap_or_default().parse().unwrap_or(1);
        format!("{} {CANARY}", said[number - 1].1)
    })
    .await;
    stage.add(&format!(
        "[[profile]]\nname = \"hands\"\nkind = \"agentapi\"\n[profile.settings]\nbase_url = \"{}\"\nsettle_secs = 1\n",
        server.url
    ));
    file(stage.folder.path(), "specwave.toml", "[run]\nattempts_max = 1\n");
    let steps: Vec<String> = messages.iter().map(|_| "A module.".to_owned()).collect();
    let ended = stage.run(&steps);
    let states = states(&ended);
    assert_eq!(states.len(), messages.len());
    assert!(states.values().all(|state| state == "failed"), "{states:?}");
    let dump = stage.server.dump();
    assert!(!dump.contains("unit.approved"));
}
