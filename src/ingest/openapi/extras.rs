//! Webhooks and callbacks: calls that the service makes to others. They become tasks of their own, which nothing generates.

use super::reader::Reader;
use super::tree::{Node, shorten};
use crate::model::spec::StatedTask;
use crate::model::{Finding, Position};

/// Most webhooks and callbacks that become tasks.
const CALLS_MAX: usize = 200;

impl<'a> Reader<'a> {
    /// Notes every webhook of the document.
    pub(super) fn webhooks(&mut self) {
        for entry in self.root.get("webhooks").map(Node::entries).unwrap_or_default() {
            self.outgoing("webhook", &entry.key, entry.position);
        }
    }

    /// Notes every callback of an operation.
    pub(super) fn callbacks(&mut self, operation: &'a Node) {
        for entry in operation.get("callbacks").map(Node::entries).unwrap_or_default() {
            self.outgoing("callback", &entry.key, entry.position);
        }
    }

    fn outgoing(&mut self, kind: &str, name: &str, position: Position) {
        let message = format!("the {kind} `{}` is a call to another service, which waits for an agent or a person", shorten(name));
        self.find(Finding::warning("outgoing-call", message, Some(position), "write it by hand, or configure an agent"));
    }

    /// The outgoing calls as tasks, in source order.
    pub(super) fn stated_tasks(&self) -> Vec<StatedTask> {
        let outgoing = self.findings.iter().filter(|finding| finding.code == "outgoing-call").take(CALLS_MAX);
        outgoing
            .filter_map(|finding| {
                let position = finding.position?;
                let title = finding.message.split(" is a call").next()?.trim_start_matches("the ").to_owned();
                Some(StatedTask {
                    key: format!("outgoing-calls/{}", position.line),
                    title: format!("Send the {title}"),
                    details: finding.message.clone(),
                    section: "Outgoing calls".to_owned(),
                    depends_on: Vec::new(),
                    because: None,
                    position,
                })
            })
            .collect()
    }
}
