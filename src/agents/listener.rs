//! Who hears what an agent tells while it works. Telling costs an agent nothing: nobody waits, and what comes too fast is passed over.

/// What an agent has come to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct News {
    /// Who tells.
    pub agent: String,
    /// The conversation that it carries on, where it names one.
    pub session: Option<String>,
    /// What it does or says; empty when only its use has changed.
    pub step: String,
    /// Tokens that it has used so far, as far as it says.
    pub tokens: Option<u64>,
}

/// Hears.
pub trait Listener: Send + Sync {
    /// Takes what is new, at once.
    fn tell(&self, news: News);
}

/// Nobody who listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

impl Listener for Nobody {
    fn tell(&self, _: News) {}
}
