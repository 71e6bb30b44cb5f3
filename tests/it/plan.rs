//! `specwave plan` from outside: what it prints, and how it refuses.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

fn specwave(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_specwave"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .arg("plan")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A refused call may not read its input to the end.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_plan_reads_well_without_colour() {
    let output = specwave(&["examples/bookstore.md", "--workers", "2"], b"");
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(!text.contains('\u{1b}'));
    for part in [
        "Bookstore",
        "structured Markdown for fastapi",
        "Wave 1",
        "* on the critical path",
        "Critical path",
        "with 2 workers",
        "Requirements",
    ] {
        assert!(text.contains(part), "{part} is missing from\n{text}");
    }
    assert!(text.lines().filter(|line| line.starts_with("note[")).count() > 0);
}

#[test]
fn the_same_specification_gives_the_same_plan_byte_for_byte() {
    let from_file = specwave(&["--json", "examples/bookstore.md"], b"");
    let bytes = std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/bookstore.md")).unwrap();
    let from_stdin = specwave(&["--json", "-"], &bytes);
    assert_eq!(from_file.stdout, from_stdin.stdout);
    let plan: specwave::model::Plan = serde_json::from_slice(&from_file.stdout).unwrap();
    assert_eq!(plan.spec.slug, "bookstore");
    assert_eq!(plan.waves.iter().map(Vec::len).sum::<usize>(), plan.units().count());
}

#[test]
fn the_graph_is_drawn_in_two_languages() {
    let mermaid = stdout(&specwave(&["--mermaid", "examples/bookstore.md"], b""));
    assert!(mermaid.starts_with("flowchart LR\n") && mermaid.contains(" ==> "));
    let dot = stdout(&specwave(&["--dot", "examples/bookstore.md"], b""));
    assert!(dot.starts_with("digraph plan {") && dot.ends_with("}\n"));
    assert_eq!(mermaid.matches("==>").count() + mermaid.matches("-->").count(), dot.matches(" -> ").count());
}

#[test]
fn bad_input_is_refused_with_a_hint() {
    let check = |arguments: &[&str], input: &[u8], expect: &str| {
        let output = specwave(arguments, input);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expect) && said.contains("hint:"), "{expect} is missing from\n{said}");
        assert!(output.stdout.is_empty());
    };
    check(&["-"], b"", "error[empty-input]");
    check(&["no/such/file.md"], b"", "cannot read no/such/file.md");
    check(&["src"], b"", "cannot read src");
    check(&["examples/bookstore.md", "--target", "cobol"], b"", "there is no target pack `cobol`");
    let torn = "# Torn\n\n## Entities\n\n### Node\n\n| field | type | rules |\n| --- | --- | --- |\n| rank | integer | min 1, max 5 |\n\n\
        ## Endpoints\n\n| method | path | purpose | entity |\n| --- | --- | --- | --- |\n| POST | /nodes | create | Node |\n\n\
        ## Rules\n\n- Node: rank > 5\n";
    check(&["-"], torn.as_bytes(), "error[contradictory-rules]");
    let usage = specwave(&["examples/bookstore.md", "--workers", "0"], b"");
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn a_real_requirements_document_gives_exactly_the_edges_it_states() {
    let Some(inputs) = std::env::var_os("SPECWAVE_REAL_INPUTS").map(PathBuf::from) else {
        eprintln!("skipped: SPECWAVE_REAL_INPUTS is not set");
        return;
    };
    let document = inputs.join("prd/sample-prd.txt");
    let output = specwave(&["--json", document.to_str().unwrap()], b"");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let plan: specwave::model::Plan = serde_json::from_slice(&output.stdout).unwrap();
    let number = |key: &str| key.strip_prefix("logical-dependency-chain/").and_then(|number| number.parse::<u32>().ok());
    let steps: Vec<u32> = plan.units().filter_map(|unit| number(&unit.key)).collect();
    assert_eq!(steps, (1..10).collect::<Vec<_>>());
    let edges: Vec<(u32, u32)> =
        plan.dependencies.iter().map(|edge| (number(&edge.task).unwrap(), number(&edge.depends_on).unwrap())).collect();
    assert_eq!(edges, [(5, 3), (5, 4), (6, 3), (8, 5), (8, 7), (9, 7), (9, 8)]);
    assert!(plan.units().all(|unit| unit.waiting.is_some()));
}
