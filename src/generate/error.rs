//! What can go wrong while files are generated.

use thiserror::Error;

/// A unit's files could not be generated.
#[derive(Debug, Error)]
pub enum GenerateError {
    /// No pack has that name.
    #[error("there is no target pack `{name}`; hint: the packs are {known}")]
    UnknownPack {
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// The pack's manifest cannot be read; a fault of this program.
    #[error("the manifest of target pack `{pack}` is broken; hint: this is a fault of specwave, please report it")]
    Manifest {
        /// The pack.
        pack: String,
        /// What the parser said.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The pack has no such file; a fault of this program.
    #[error("target pack `{pack}` lacks its file `{file}`; hint: this is a fault of specwave, please report it")]
    MissingFile {
        /// The pack.
        pack: String,
        /// The path inside the pack.
        file: String,
    },
    /// A template failed; a fault of this program.
    #[error("template `{template}` failed; hint: this is a fault of specwave, please report it")]
    Template {
        /// The template.
        template: String,
        /// What the engine said.
        #[source]
        source: Box<minijinja::Error>,
    },
    /// The specification has no such unit.
    #[error("the specification has no unit `{0}`; hint: `specwave plan` lists the units")]
    UnknownUnit(String),
    /// The unit is one that nothing generates.
    #[error("unit `{0}` is not generated; hint: it waits for an agent or a person")]
    Waiting(String),
    /// Something in the specification cannot be expressed in the target.
    #[error("{subject} cannot be built: {reason}; hint: change it in the specification, or leave the operation to an agent")]
    Unsupported {
        /// What cannot be built.
        subject: String,
        /// Why.
        reason: String,
    },
    /// The snapshot of the earlier delivery cannot be read.
    #[error("`{path}` of the earlier delivery is not readable: {reason}; hint: restore it from version control")]
    Snapshot {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}
