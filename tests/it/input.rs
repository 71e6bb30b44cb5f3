//! Inputs that cannot be built from, as the command line answers them: exit 2, a message with its place and a hint, soon, and nothing
//! written anywhere.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::installation::file;

/// How long a refusal may take. A debug build reads a megabyte in about half a second; a quadratic reader would take minutes.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// A scratch directory with a specification, a place for the result, and a data directory that must not come to be.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `specwave run SPEC --out out`, fed with the input when the name is `-`. Returns what it said.
    fn refused(&self, spec: &Path, more: &[&str], input: &[u8]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_specwave"));
        command.arg("run").arg(spec).arg("--out").arg(self.path("out")).args(more).env("SPECWAVE_DATA_DIR", self.path("data"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).env_remove("DATABASE_URL");
        let started = Instant::now();
        let mut child = command.spawn().unwrap();
        // A call that refuses early need not read its input.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{}: {said}", spec.display());
        assert!(said.contains("error") && said.contains("hint:") && !said.contains("panicked"), "{}: {said}", spec.display());
        assert!(said.lines().all(|line| line.len() < 2_000), "{}: a line of {} bytes", spec.display(), said.len());
        assert!(output.stdout.is_empty(), "{}: nothing is data", spec.display());
        assert!(started.elapsed() < ANSWER_MAX, "{}: {:?}", spec.display(), started.elapsed());
        assert!(!self.path("out").exists() && !self.path("data").exists(), "{}: something was written", spec.display());
        said
    }

    /// The same for a file of that name and content; `expect` is the finding and its place.
    fn check(&self, name: &str, content: impl AsRef<[u8]>, expect: &[&str]) {
        let spec = file(self.0.path(), name, content);
        let said = self.refused(&spec, &[], b"");
        for part in expect {
            assert!(said.contains(part), "{part:?} is missing for {name}:\n{said}");
        }
    }
}

/// A document with one entity of that name and those rows of fields.
fn entity(name: &str, fields: &str) -> String {
    format!("# A\n\n## Entities\n\n### {name}\n\n| field | type | rules |\n| --- | --- | --- |\n{fields}\n")
}

#[test]
fn what_is_no_text_is_refused() {
    let desk = Desk::new();
    desk.check("empty.md", "", &["error[empty-input]"]);
    desk.check("blank.yaml", " \n\t\n", &["error[empty-input]"]);
    desk.check("binary.md", (0..=255).collect::<Vec<u8>>(), &["error[binary-input]", "binary.md:1:1"]);
    desk.check("wide.md", "# A\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>(), &["error[binary-input]"]);
    desk.check("latin.md", b"# A\n\nCaf\xe9\n", &["error[not-utf8]", "latin.md:3:4"]);
    desk.check("big.md", vec![b'x'; 50 * 1024 * 1024], &["error[input-too-large]"]);
    desk.check("line.md", format!("# {}\n", "x".repeat(5_000_000)), &["error[line-too-long]", "line.md:1:1"]);
    desk.check("line.txt", format!("# A\n\n{}\n", "word ".repeat(1_000_000)), &["error[line-too-long]", "line.txt:3:1"]);
    desk.check("nothing.md", "x".repeat(100), &["states nothing that could be built"]);
}

#[test]
fn what_nests_or_repeats_without_end_is_refused() {
    let desk = Desk::new();
    let nested = |open: &str, close: &str| format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
    let mut bomb = String::from("title: A\nentities:\n  - &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let uses = vec![format!("*a{}", level - 1); 9].join(", ");
        writeln!(bomb, "  - &a{level} [{uses}]").unwrap();
    }
    desk.check("bomb.yaml", bomb, &["error[", "bomb.yaml:"]);
    desk.check("deep.yaml", format!("title: A\nentities: {}", nested("[", "]")), &["error[input-too-complex]", "deep.yaml:2:"]);
    desk.check(
        "deep.json",
        format!("{{\"title\": \"A\", \"entities\": {}}}", nested("[", "]")),
        &["error[input-too-complex]", "deep.json:1:"],
    );
    desk.check("maps.json", nested("{\"a\":", "}"), &["error[input-too-complex]", "maps.json:1:"]);
    desk.check("quotes.md", format!("# A\n\n{} x\n", ">".repeat(10_000)), &["error[nested-too-deep]", "quotes.md:3:1"]);
    desk.check("brackets.md", format!("# A\n\n{}\n", "[".repeat(10_000)), &["error[nested-too-deep]", "brackets.md:3:"]);
    let list = (0..300).fold(String::from("# A\n\n"), |text, depth| text + &"  ".repeat(depth) + "- x\n");
    desk.check("list.md", list, &["error[nested-too-deep]", "list.md:"]);
}

#[test]
fn files_of_the_model_with_mistakes_name_their_place() {
    let desk = Desk::new();
    desk.check(
        "type.yaml",
        "title: A\nentities:\n  - name: B\n    fields:\n      - {name: c, type: strin}\n",
        &["error[unknown-type]", ":5:25"],
    );
    desk.check("torn.yaml", "title: A\nentities: [\n  - x: {", &["error[bad-model]", "torn.yaml:3:3"]);
    desk.check("torn.json", "{\"title\": \"A\", ", &["error[bad-model]", "torn.json:1:"]);
    desk.check("twice.yaml", "title: A\ntitle: B\n", &["duplicate mapping key: title\n", "twice.yaml:2:1"]);
    desk.check("typo.yaml", "title: A\nentites: []\n", &["error[unknown-key]", "`entites`", "typo.yaml:2:1"]);
    desk.check("list.yaml", "- a\n- b\n", &["error[bad-model]", "list.yaml:1:1"]);
    desk.check("number.json", "42", &["error[bad-model]", "number.json:1:1"]);
}

#[test]
fn names_and_types_that_cannot_be_built_are_refused() {
    let desk = Desk::new();
    let two = |one: &str, other: &str| {
        let second = entity(other, "| c | string | |");
        entity(one, "| c | string | |") + second.split_once("## Entities\n\n").unwrap().1
    };
    desk.check("entities.md", two("Unit Price", "UnitPrice"), &["error[same-name]", "`unit_price`", ":10:5"]);
    desk.check("fields.md", entity("B", "| unit price | string | |\n| unitPrice | string | |"), &["error[same-name]", "fields.md:10:3"]);
    desk.check("up.md", entity("../../etc", "| c | string | |"), &["error[unsafe-name]", "up.md:5:5"]);
    desk.check("up-field.md", entity("B", "| a/../c | string | |"), &["error[", "up-field.md:9:3"]);
    desk.check("nul.md", entity("B\0", "| c | string | |"), &["error[binary-input]", "nul.md:5:6"]);
    desk.check(
        "nul.json",
        "{\"title\": \"A\", \"entities\": [{\"name\": \"B\\u0000\", \"fields\": []}]}",
        &["error[unsafe-name]", "nul.json:1:"],
    );
    desk.check("long.md", entity(&"B".repeat(500), "| c | string | |"), &["error[name-too-long]", "long.md:5:5"]);
    desk.check("long-field.md", entity("B", &format!("| {} | string | |", "c".repeat(500))), &["error[name-too-long]", ":9:3"]);
    desk.check("type.md", entity("B", "| c | strin | |"), &["error[unknown-type]", "did you mean `string`", "type.md:9:7"]);
    desk.check("self.md", entity("B", "| parent | ref(B) | required |"), &["error[self-reference-required]", "self.md:9:3"]);
    let circle = "# A\n\n## Entities\n\n### X\n\n| field | type | rules |\n| --- | --- | --- |\n| y | ref(Y) | required |\n\n\
                  ### Y\n\n| field | type | rules |\n| --- | --- | --- |\n| x | ref(X) | required |\n";
    desk.check("circle.md", circle, &["error[circular-references]", "X -> Y -> X", "circle.md:9:3"]);
    let endpoint = "\n## Endpoints\n\n| method | path | purpose | entity |\n| --- | --- | --- | --- |\n| GET | /cs | list | C |\n";
    desk.check("endpoint.md", entity("B", "| c | string | |") + endpoint, &["error[unknown-entity]", "endpoint.md:15:22"]);
}

#[test]
fn what_is_no_file_or_not_the_format_said_is_refused() {
    let desk = Desk::new();
    let good = file(desk.0.path(), "good.md", entity("B", "| c | string | |"));
    let good = good.as_path();
    assert!(desk.refused(&desk.path("no-such-file.md"), &[], b"").contains("cannot read"));
    assert!(desk.refused(desk.0.path(), &[], b"").contains("directory"));
    assert!(desk.refused(Path::new("-"), &[], b"").contains("error[empty-input]"));
    assert!(desk.refused(Path::new("-"), &[], b"# A\n\xff").contains("<stdin>:2:1"));
    assert!(desk.refused(Path::new("-"), &[], &vec![b'x'; 50 * 1024 * 1024]).contains("error[input-too-large]"));
    // A file that even root cannot read: the memory of a process at an address that nothing is mapped to.
    assert!(desk.refused(Path::new("/proc/self/mem"), &[], b"").contains("cannot read /proc/self/mem"));
    assert!(desk.refused(good, &["--format", "openapi"], b"").contains("good.md:"));
    assert!(desk.refused(good, &["--format", "model"], b"").contains("good.md:"));
    assert!(desk.refused(good, &["--target", "cobol"], b"").contains("there is no target pack"));
    assert!(desk.refused(good, &["--name", "No Name"], b"").contains("is not a name"));
    // A place that nobody may write to, and one below a file.
    let said = |option: &str, value: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_specwave")).arg("run").arg(good).args([option, value]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let read_only = said("--out", "/sys/specwave-out");
    assert!(read_only.contains("cannot write to") && read_only.contains("hint: make the directory writable"), "{read_only}");
    assert!(said("--out", good.join("below").to_str().unwrap()).contains("is not a directory"));
    assert!(said("--format", "cobol").contains("possible values: openapi, markdown, model, prose"));
}

#[test]
fn strange_but_sound_names_are_planned() {
    let scratch = TempDir::new().unwrap();
    let check = |content: String| {
        let spec = file(scratch.path(), "spec.md", content);
        let output = Command::new(env!("CARGO_BIN_EXE_specwave")).args(["plan", "--json"]).arg(spec).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let plan: specwave::model::Plan = serde_json::from_slice(&output.stdout).unwrap();
        let safe = |path: &str| path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte)) && !path.contains("..");
        assert!(plan.units().flat_map(|unit| &unit.files).all(|path| safe(path)));
    };
    check(entity("class", "| type | string | required |\n| None | string | |\n| select | integer | |"));
    check(entity("Größe", "| 価格 | string | required |\n| Straße | string | |"));
    check(format!("# {}\n\nThe service must work.\n", "T".repeat(500)));
}
