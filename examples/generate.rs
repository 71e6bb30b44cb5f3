//! Writes the generated project of a specification: `cargo run --example generate -- SPEC OUT`.

use std::path::Path;

use specwave::generate::{Prior, TargetPack};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [spec, out] = arguments.as_slice() else { return Err("usage: generate SPEC OUT".into()) };
    let read = specwave::ingest::read(&std::fs::read(spec)?, Some(spec), None);
    let document = read.document.ok_or_else(|| format!("{:?}", read.findings))?;
    let pack = TargetPack::load("fastapi")?;
    for blueprint in pack.blueprints(&document)?.iter().filter(|blueprint| blueprint.waiting.is_none()) {
        for file in pack.generate(&document, &blueprint.key, &Prior::default())? {
            let path = Path::new(out).join(&file.path);
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new("")))?;
            std::fs::write(path, file.content)?;
        }
    }
    Ok(())
}
