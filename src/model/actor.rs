//! Who asked for a change; written to the audit log beside it.

use serde::{Deserialize, Serialize};

use super::OrganizationId;

/// The person, worker or sweep on whose behalf something is done, and its tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The tenant whose rows may be seen and changed.
    pub organization: OrganizationId,
    /// A name for the audit log, for example `user:ada` or `worker:0192…`.
    pub name: String,
}

impl Actor {
    /// The person at the terminal of an installation without accounts.
    pub fn local(user: &str) -> Self {
        Self { organization: super::id::LOCAL_ORGANIZATION, name: format!("user:{user}") }
    }
}
