//! The repository's own rules, held as tests.

use std::fs;
use std::path::Path;

#[test]
fn every_top_level_module_stands_in_lib_rs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lib = fs::read_to_string(root.join("src/lib.rs")).unwrap();
    for entry in fs::read_dir(root.join("src")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            assert!(lib.contains(&format!("pub mod {name};")), "src/{name} is not in src/lib.rs");
        }
    }
}
