//! Which provider, where, and with which key.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::config::Secret;
use crate::redact::redact;

/// Which protocol a provider speaks, and where it is when nothing else is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProviderKind {
    /// Anthropic's Messages API.
    Anthropic,
    /// OpenAI's Chat Completions API.
    OpenAi,
    /// The same at another address: gateways and local servers.
    OpenAiCompatible,
    /// Ollama, through its OpenAI-compatible interface, whose streams say where they end.
    Ollama,
}

impl ProviderKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Anthropic, Self::OpenAi, Self::OpenAiCompatible, Self::Ollama];

    /// The text in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::OpenAi => "openai",
            Self::OpenAiCompatible => "openai-compatible",
            Self::Ollama => "ollama",
        }
    }

    pub(super) fn base_url(self) -> Option<&'static str> {
        match self {
            Self::Anthropic => Some("https://api.anthropic.com/v1"),
            Self::OpenAi => Some("https://api.openai.com/v1"),
            Self::OpenAiCompatible => None,
            Self::Ollama => Some("http://127.0.0.1:11434/v1"),
        }
    }

    pub(super) fn needs_key(self) -> bool {
        matches!(self, Self::Anthropic | Self::OpenAi)
    }
}

impl fmt::Display for ProviderKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl FromStr for ProviderKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}

/// Where and how a provider is reached.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// Its protocol.
    pub kind: ProviderKind,
    /// Its address up to and including the version (`http://127.0.0.1:8000/v1`), instead of the kind's own.
    pub base_url: Option<String>,
    /// Its key.
    pub key: Option<Secret>,
    /// How long nothing may come.
    pub stall: Duration,
}

/// What can be wrong with the settings of a provider.
#[derive(Debug, Error)]
pub enum ProviderError {
    /// No address.
    #[error("the provider {0} has no address of its own\n  hint: set its base URL")]
    NoAddress(ProviderKind),
    /// An address that is none.
    #[error("{0:?} is no address of a provider\n  hint: a base URL is as http://127.0.0.1:8000/v1, without user, query and fragment")]
    Address(String),
    /// A key would travel in clear text.
    #[error("a key is sent over https or to this machine, not to {0}")]
    ClearText(String),
    /// No key.
    #[error("the provider {0} needs a key")]
    NoKey(ProviderKind),
    /// A model's name that would be taken apart.
    #[error("the model's name {0:?} {1}")]
    Model(String, &'static str),
    /// The HTTP client cannot be made.
    #[error("cannot make an HTTP client")]
    Client(#[source] reqwest::Error),
    /// The library's client cannot be made.
    #[error("cannot make a client: {0}")]
    Library(String),
}

/// The address with a slash at its end, and whether it is on this machine.
pub(super) fn address(base: &str) -> Result<(String, bool), ProviderError> {
    let wrong = || ProviderError::Address(redact(base));
    let url = reqwest::Url::parse(base).map_err(|_| wrong())?;
    let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    let host = url.host_str().ok_or_else(wrong)?;
    if !plain || !matches!(url.scheme(), "http" | "https") {
        return Err(wrong());
    }
    let ip = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    let loopback = host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback());
    Ok((format!("{}/", url.as_str().trim_end_matches('/')), loopback))
}
