//! The generated project's own linters, type checker and tests.

use std::path::Path;

use specwave::generate::{Prior, TargetPack};
use specwave::model::SpecDocument;

/// Writes every generated file of `doc` below `root`.
pub(crate) fn write_project(doc: &SpecDocument, root: &Path, prior: &Prior) {
    let pack = TargetPack::load("fastapi").unwrap();
    for blueprint in pack.blueprints(doc).unwrap().iter().filter(|blueprint| blueprint.waiting.is_none()) {
        for file in pack.generate(doc, &blueprint.key, prior).unwrap() {
            let path = root.join(&file.path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file.content).unwrap();
        }
    }
}

#[test]
fn dump() {
    let (Ok(spec), Ok(root)) = (std::env::var("GEN_SPEC"), std::env::var("GEN_OUT")) else {
        return;
    };
    let read = specwave::ingest::read(&std::fs::read(&spec).unwrap(), Some(&spec), None);
    for finding in &read.findings {
        println!("{finding:?}");
    }
    write_project(&read.document.unwrap(), Path::new(&root), &Prior::default());
}
