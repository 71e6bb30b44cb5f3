//! The deterministic agent: the templates of a target pack.

use std::sync::Arc;

use super::{Agent, AgentError, Delivered, Delivery, Work};
use crate::generate::TargetPack;
use crate::model::AgentKind;

/// Performs every unit that the pack has a blueprint for.
#[derive(Debug, Clone)]
pub struct GeneratorAgent {
    name: String,
    version: String,
    pack: Arc<TargetPack>,
}

impl GeneratorAgent {
    /// The agent of that pack.
    pub fn new(pack: Arc<TargetPack>) -> Self {
        let version = format!("{} {} {}", env!("CARGO_PKG_VERSION"), pack.version(), env!("SPECWAVE_GENERATOR"));
        Self { name: format!("generator/{}", pack.name()), version, pack }
    }
}

impl Agent for GeneratorAgent {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> AgentKind {
        AgentKind::Generator
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn deterministic(&self) -> bool {
        true
    }

    fn perform(&self, work: Work) -> Delivery<'_> {
        let pack = Arc::clone(&self.pack);
        Box::pin(async move {
            let generate = move || pack.generate(&work.document, &work.unit.key, &work.prior);
            match tokio::task::spawn_blocking(generate).await {
                Ok(Ok(files)) => Ok(Delivered { files, ..Delivered::default() }),
                Ok(Err(error)) => Err(AgentError::Generate(error)),
                Err(error) => Err(AgentError::Stopped(error.to_string())),
            }
        })
    }
}
