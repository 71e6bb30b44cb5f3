//! Profiles as people write them: the built-in ones, and files that `specwave agents add` reads.

use serde::Deserialize;
use thiserror::Error;

pub use crate::model::Profile;
use crate::model::{AgentKind, Duty};
use crate::store::postgres::{StoreError, TenantTx, profiles};

const BUILT_IN: &str = include_str!("profiles.toml");
/// Longest instructions: they are told with every unit.
pub const ROLE_BYTES_MAX: usize = 8 * 1024;

/// Why a profile is not taken.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// It is no profile.
    #[error("it is no profile: {0}")]
    Syntax(String),
    /// A name that cannot be used.
    #[error("{0}")]
    Name(String),
    /// Its instructions are too long.
    #[error("the role has {0} bytes, at most {ROLE_BYTES_MAX} are told")]
    RoleTooLong(usize),
    /// A kind that is not registered.
    #[error("agents of kind {} are not registered: generators come with target packs, and persons are asked by `escalation`", .0.as_str())]
    Kind(AgentKind),
    /// Settings that its kind cannot use.
    #[error("the settings of {name} cannot be used: {problem}")]
    Settings {
        /// The profile.
        name: String,
        /// What is wrong.
        problem: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    profile: Vec<Profile>,
}

/// The profiles that every installation begins with.
pub fn built_in() -> Vec<Profile> {
    parse(BUILT_IN).expect("a test reads the built-in profiles")
}

/// Every profile of the organization; the built-in ones are added when they are missing.
pub async fn registered(tx: &mut TenantTx) -> Result<Vec<Profile>, StoreError> {
    profiles::add_missing(tx, &built_in()).await?;
    profiles::list(tx).await
}

/// The profiles in a TOML text, `[[profile]]` by `[[profile]]`, checked.
pub fn parse(text: &str) -> Result<Vec<Profile>, ProfileError> {
    let file: File = toml::from_str(text).map_err(|error| ProfileError::Syntax(error.to_string()))?;
    file.profile.iter().try_for_each(check)?;
    Ok(file.profile)
}

/// Checks what does not depend on the settings of this installation.
pub fn check(profile: &Profile) -> Result<(), ProfileError> {
    Profile::check_name(&profile.name).map_err(ProfileError::Name)?;
    if profile.role.len() > ROLE_BYTES_MAX {
        return Err(ProfileError::RoleTooLong(profile.role.len()));
    }
    match profile.kind {
        AgentKind::Llm => super::roster::model_settings(profile).map(drop),
        AgentKind::Command => super::roster::command_settings(profile).map(drop),
        AgentKind::AgentApi => super::roster::server_settings(profile).map(drop),
        AgentKind::Generator | AgentKind::Manual => Err(ProfileError::Kind(profile.kind)),
    }
}

/// What a duty means, for people.
pub fn duty_in_words(duty: Duty) -> &'static str {
    match duty {
        Duty::Build => "builds units",
        Duty::Debug => "is sent when others have failed",
        Duty::Review => "reviews, when it is named",
        Duty::Optimise => "optimises, when it is named",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_profiles_are_five_and_none_is_sent_before_a_model_is_set() {
        let profiles = built_in();
        let names: Vec<&str> = profiles.iter().map(|profile| profile.name.as_str()).collect();
        assert_eq!(names, ["general", "test-writer", "code-analyst", "reviewer", "performance-optimizer"]);
        assert!(profiles.iter().all(|profile| profile.kind == AgentKind::Llm && profile.enabled && profile.settings.is_null()));
    }

    #[test]
    fn what_is_no_profile_is_refused() {
        let check = |text: &str, expected: &str| {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("[[profile]]\nname = \"A\"\nkind = \"llm\"", "no name of an agent");
        check("[[profile]]\nname = \"a\"\nkind = \"robot\"", "unknown variant `robot`");
        check("[[profile]]\nname = \"a\"\nkind = \"llm\"\nrank = 1", "unknown field `rank`");
        check("[[profile]]\nname = \"a\"\nkind = \"manual\"", "agents of kind manual are not registered");
        check("[[profile]]\nname = \"a\"\nkind = \"llm\"\n[profile.settings]\nmodle = \"m\"", "unknown field `modle`");
        check(&format!("[[profile]]\nname = \"a\"\nkind = \"llm\"\nrole = \"{}\"", "x".repeat(9_000)), "9000 bytes");
    }
}
