//! Whole documents in, whole documents or findings out.

use super::super::{Ingested, read};
use crate::model::SpecDocument;

const BOOKSTORE: &str = include_str!("../../examples/bookstore.md");

fn lines(ingested: &Ingested) -> Vec<String> {
    let place = |finding: &crate::model::Finding| finding.position.map(|position| position.to_string()).unwrap_or_default();
    ingested.findings.iter().map(|finding| format!("{} {} {}", place(finding), finding.code, finding.message)).collect()
}

fn document(text: &str) -> SpecDocument {
    let ingested = read(text.as_bytes(), None, None);
    assert_eq!(lines(&ingested), Vec::<String>::new());
    ingested.document.expect("no finding, so there is a document")
}

#[test]
fn the_bookstore_is_read_whole() {
    insta::assert_json_snapshot!("bookstore", document(BOOKSTORE));
}

#[test]
fn the_examples_are_read_without_a_remark() {
    document(include_str!("../../examples/clinic.md"));
    let commerce = document(include_str!("../../examples/commerce.md"));
    assert!(commerce.entities.len() >= 25 && commerce.operations.iter().all(crate::model::Operation::derivable));
}
