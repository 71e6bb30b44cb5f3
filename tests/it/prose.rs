//! Requirements in prose, as real documents write them.

use specwave::ingest::read;

/// The third-party documents that the project is judged by, when they are at hand.
#[test]
fn real_documents_are_read() {
    let Ok(folder) = std::env::var("SPECWAVE_REAL_INPUTS") else {
        println!("skipped: SPECWAVE_REAL_INPUTS is not set");
        return;
    };
    let read_real = |name: &str| {
        let bytes = std::fs::read(format!("{folder}/prd/{name}")).expect("the folder holds the document");
        read(&bytes, Some(name), None).document.expect("prose is never refused")
    };
    let sample = read_real("sample-prd.txt");
    let edges: Vec<(String, Vec<String>)> = sample.stated_tasks.iter().map(|task| (task.key.clone(), task.depends_on.clone())).collect();
    let key = |number: u32| format!("logical-dependency-chain/{number}");
    let needs = |number: u32| -> Vec<u32> {
        match number {
            5 => vec![3, 4],
            6 => vec![3],
            8 => vec![5, 7],
            9 => vec![7, 8],
            _ => Vec::new(),
        }
    };
    let expected: Vec<_> = (1..=9).map(|number| (key(number), needs(number).into_iter().map(key).collect::<Vec<_>>())).collect();
    assert_eq!(edges, expected);
    let looped = read_real("loop-prd.md");
    assert!(looped.stated_tasks.is_empty());
    let unwanted = ["ALL_TASKS_DONE", "Run lint", "ONE test", "Option", "Replacing the existing", "Sandbox mode", "youtube"];
    for statement in &looped.statements {
        assert!(!unwanted.iter().any(|words| statement.text.contains(words)), "{statement:?}");
    }
    assert!(
        looped.statements.iter().filter(|statement| statement.origin == specwave::model::spec::StatementOrigin::UserStory).count() >= 5
    );
}
