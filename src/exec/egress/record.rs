//! What a command asked its proxy for, and what became of it.

use std::net::SocketAddr;

/// More is counted, not kept.
const CONTACTS_MAX: usize = 10_000;

/// How the proxy decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Connected to this address.
    Connected(SocketAddr),
    /// It may not go there, or not any more: why.
    Refused(&'static str),
    /// It might, but there was no connection: why.
    Failed(String),
}

/// One host that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// The host as the request named it; empty when there was none.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the proxy decided.
    pub verdict: Verdict,
    /// Bytes to the host.
    pub sent_bytes: u64,
    /// Bytes from the host.
    pub received_bytes: u64,
}

impl Contact {
    /// Why it was refused, if so, with what was asked for.
    pub(super) fn refusal(&self) -> Option<String> {
        let Verdict::Refused(reason) = self.verdict else { return None };
        Some(format!("{}:{}: {reason}", self.host, self.port))
    }
}

/// Everything that was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EgressRecord {
    /// In the order of asking.
    pub contacts: Vec<Contact>,
    /// How many more there were.
    pub left_out: u64,
}

impl EgressRecord {
    /// Adds one and tells where it stands; none when there are too many.
    pub(super) fn add(&mut self, host: &str, port: u16, verdict: Verdict) -> Option<usize> {
        if self.contacts.len() >= CONTACTS_MAX {
            self.left_out += 1;
            return None;
        }
        self.contacts.push(Contact { host: host.to_owned(), port, verdict, sent_bytes: 0, received_bytes: 0 });
        Some(self.contacts.len() - 1)
    }

    /// Counts what passed.
    pub(super) fn count(&mut self, at: Option<usize>, sent_bytes: u64, received_bytes: u64) {
        if let Some(contact) = at.and_then(|at| self.contacts.get_mut(at)) {
            contact.sent_bytes += sent_bytes;
            contact.received_bytes += received_bytes;
        }
    }
}
