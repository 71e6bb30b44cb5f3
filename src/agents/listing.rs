//! An agent of the registry as somebody looks at it: its profile, whether it can be had, and what became of its units.
//!
//! Called by the HTTP interface and the command line. It shows no secret: profiles name variables, and what looks like a value is left out.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Roster;
use crate::model::Profile;
use crate::redact::redact;
use crate::store::postgres::assignments::Standing;

/// One agent.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Listing {
    /// What the registry says.
    pub profile: Profile,
    /// True when it can be sent.
    pub ready: bool,
    /// Why it cannot; null when it can.
    pub unavailable: Option<String>,
    /// What stands behind it, as it is part of the input of each unit; null when it cannot be sent.
    pub behind: Option<String>,
    /// How its first tries at units went; null when it was never sent.
    pub first_tries: Option<FirstTries>,
    /// Tokens in and out, of all tries; null when it was never sent.
    pub tokens: Option<u64>,
    /// Money in millionths, of all tries whose cost is known; null when it was never sent.
    pub cost_micros: Option<u64>,
    /// The mean of what a unit cost, in millionths; null where no cost is known.
    pub unit_cost_micros: Option<u64>,
}

/// How first tries went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct FirstTries {
    /// Those that passed their checks.
    pub passed: u64,
    /// Those that did not.
    pub failed: u64,
}

impl Listing {
    /// The agent of that profile among those of the roster.
    pub fn of(profile: &Profile, roster: &Roster, standing: Option<&Standing>) -> Self {
        let member = roster.find(&profile.name);
        Self {
            profile: Profile { role: redact(&profile.role), settings: without_secrets(&profile.settings), ..profile.clone() },
            ready: member.is_ok(),
            unavailable: roster.unavailable(&profile.name).map(redact),
            behind: member.ok().map(|member| redact(member.agent.version())),
            first_tries: standing.map(|standing| FirstTries { passed: standing.passed, failed: standing.failed }),
            tokens: standing.map(|standing| standing.tokens),
            cost_micros: standing.map(|standing| standing.cost_micros),
            unit_cost_micros: standing.and_then(|standing| standing.unit_cost_micros),
        }
    }
}

/// As deep as the registry keeps them, which is what its reader allows.
fn without_secrets(settings: &Value) -> Value {
    match settings {
        Value::String(text) => Value::String(redact(text)),
        Value::Array(items) => items.iter().map(without_secrets).collect(),
        Value::Object(fields) => Value::Object(fields.iter().map(|(name, value)| (name.clone(), without_secrets(value))).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::agents::profile::built_in;
    use crate::config::AgentSettings;

    #[test]
    fn what_looks_like_a_secret_is_not_shown_and_who_cannot_be_had_says_why() {
        let mut profile = built_in().swap_remove(0);
        profile.settings = json!({"base_url": "https://ada:hunter2@models.test/v1", "command": ["agent", "--api-key=abc123"], "turns": 3});
        let roster = Roster::new(vec![profile.clone()], &AgentSettings::default(), None, Duration::from_secs(1));
        let standing = Standing { passed: 3, failed: 1, tokens: 10, cost_micros: 7, unit_cost_micros: Some(2) };
        let shown = Listing::of(&profile, &roster, Some(&standing));
        let expect = json!({"base_url": "https://ada:[redacted]@models.test/v1", "command": ["agent", "--api-key=[redacted]"], "turns": 3});
        assert_eq!(shown.profile.settings, expect);
        assert!(!shown.ready && shown.unavailable.is_some() && shown.behind.is_none());
        assert_eq!((shown.first_tries, shown.tokens), (Some(FirstTries { passed: 3, failed: 1 }), Some(10)));
        assert_eq!(Listing::of(&profile, &roster, None).first_tries, None);
    }
}
