//! A person as an agent: what was handed in for a unit is delivered as it is, and judged like anybody's.

use sha2::{Digest, Sha256};

use super::{Agent, Delivered, Delivery, Work};
use crate::generate::GeneratedFile;
use crate::model::AgentKind;

/// Files that somebody has made by hand.
#[derive(Debug)]
pub struct HandedIn {
    name: String,
    version: String,
    files: Vec<GeneratedFile>,
}

impl HandedIn {
    /// What that person has handed in.
    pub fn new(person: &str, files: Vec<GeneratedFile>) -> Self {
        let mut hash = Sha256::new();
        for file in &files {
            hash.update(format!("{}\0{}\0{}\0", file.path, file.executable, file.content.len()));
            hash.update(&file.content);
        }
        Self { name: format!("person/{person}"), version: format!("files {}", hex::encode(&hash.finalize()[..12])), files }
    }
}

impl Agent for HandedIn {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> AgentKind {
        AgentKind::Manual
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn deterministic(&self) -> bool {
        false
    }

    fn perform(&self, _: Work) -> Delivery<'_> {
        let files = self.files.iter().map(|file| GeneratedFile {
            path: file.path.clone(),
            content: file.content.clone(),
            executable: file.executable,
        });
        let delivered = Delivered { files: files.collect(), ..Delivered::default() };
        Box::pin(std::future::ready(Ok(delivered)))
    }
}
