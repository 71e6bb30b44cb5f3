//! Documents in prose: fixtures of our own, one for each quirk of real ones.

use super::super::read;
use crate::model::{SpecDocument, SpecFormat};

fn document(text: &str) -> SpecDocument {
    read(text.as_bytes(), Some("my-prd.txt"), Some(SpecFormat::Prose)).document.expect("prose is never refused")
}

fn statements(text: &str) -> Vec<String> {
    document(text)
        .statements
        .into_iter()
        .map(|statement| format!("{} {}: {}", statement.position, statement.section, statement.text))
        .collect()
}

fn tasks(text: &str) -> Vec<String> {
    let number = |key: &String| key.rsplit('/').next().unwrap_or_default().to_owned();
    let shown = |task: &crate::model::spec::StatedTask| {
        format!("{} {} <- {}", task.key, task.title, task.depends_on.iter().map(number).collect::<Vec<_>>().join(","))
    };
    document(text).stated_tasks.iter().map(shown).collect()
}

const CHAIN: &str = "\
<context>
# Overview
A small service that keeps notes. It must be fast.
</context>
<PRD>
# Roadmap
-   **First version:**
    1.  Set up the store.
    2.  Write the endpoints.

# Logical Dependency Chain
1.  Store.
2.  Search index (depends on 1).
3.  Page.
4.  `GET /notes` (depends on 1 & 3).
    *Goal is to show something early.*
5.  Ship

# Appendix
-   Sample:
    ```js
    1. not a task
    ```
</PRD>
";

#[test]
fn a_chain_states_exactly_its_edges() {
    assert_eq!(
        tasks(CHAIN),
        [
            "logical-dependency-chain/1 Store <- ",
            "logical-dependency-chain/2 Search index <- 1",
            "logical-dependency-chain/3 Page <- ",
            "logical-dependency-chain/4 `GET /notes` <- 1,3",
            "logical-dependency-chain/5 Ship <- ",
        ]
    );
    let document = document(CHAIN);
    assert_eq!(document.title, "My prd");
    assert_eq!(document.summary, "A small service that keeps notes. It must be fast.");
    assert_eq!(document.stated_tasks[3].details, "Goal is to show something early.");
    assert_eq!(document.stated_tasks[3].because.as_deref(), Some("depends on 1 & 3"));
    assert_eq!(document.stated_tasks[3].position.line, 15);
}

#[test]
fn lists_beside_a_chain_are_demands() {
    assert_eq!(
        statements(CHAIN),
        ["3:1 Overview: It must be fast.", "8:9 Roadmap: Set up the store.", "9:9 Roadmap: Write the endpoints."]
    );
}

#[test]
fn a_roadmap_without_edges_is_tasks_without_edges() {
    assert_eq!(
        tasks("# T\n\n## Implementation plan\n\n1. One\n   - detail\n\nSome words between.\n\n2. Two\n"),
        ["implementation-plan/1 One <- ", "implementation-plan/2 Two <- "]
    );
    assert_eq!(tasks("# T\n\n## Goals\n\n1. One\n2. Two\n"), Vec::<String>::new());
    assert_eq!(tasks("# T\n\n## Future roadmap\n\n1. One\n2. Two (depends on 1)\n"), Vec::<String>::new());
}

#[test]
fn code_tables_and_examples_demand_nothing() {
    let text = "\
# Tool

## Options

| Option | Default |
| --- | --- |
| `--count` | must be 10 |

```markdown
# Not a heading
1. You must not read this
- nor this
```

## Examples

- This must be left out.

## Non-Goals

- Replacing everything that must stay

## References

- [A page that shall be read](https://example.org)
";
    assert_eq!(statements(text), Vec::<String>::new());
    assert_eq!(document(text).title, "Tool");
}

#[test]
fn features_stories_and_sentences_are_demands() {
    let text = "\
# Tool

## Features

1. **Export:** Writes a file.
   - *Why:* People asked.
   - The file must be small.
2. **Import:** Reads a file. It is fast.

### US-1: Undo

As a user, I want to undo a step.

### FR-2: Redo

## Constraints

-   **Hosting:**
    -   Static files only.
-   **Future work:** Themes.

Words that only explain. The page shall load in a second. Out of scope:

- Printing (out of scope)

## Success Metrics

- Nobody complains
";
    let found = statements(text);
    assert_eq!(
        found,
        [
            "5:6 Features: Export: Writes a file.",
            "7:6 Features: The file must be small.",
            "8:6 Features: Import: Reads a file. It is fast.",
            "12:1 US-1: Undo: As a user, I want to undo a step.",
            "14:5 FR-2: Redo: FR-2: Redo",
            "19:9 Constraints: Static files only.",
            "22:1 Constraints: The page shall load in a second.",
            "28:3 Success Metrics: Nobody complains",
        ]
    );
}

#[test]
fn what_was_passed_over_is_reported() {
    let codes = |text: &str| -> Vec<String> {
        read(text.as_bytes(), None, Some(SpecFormat::Prose)).findings.into_iter().map(|finding| finding.code).collect()
    };
    assert_eq!(codes("# T\n\nNothing here. Really.\n"), ["no-requirements"]);
    assert_eq!(codes("It must work. It is blue.\n"), ["background", "untitled"]);
    assert_eq!(codes("# T\n\n## Entities\n\n- Books must exist\n"), ["read-as-prose"]);
}
