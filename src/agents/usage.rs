//! What a call used, in the provider's own numbers.

use std::ops::AddAssign;

/// Tokens of one call or of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Everything that was read, the cached part included.
    pub input: u64,
    /// The part of it that came out of the provider's cache.
    pub cached_input: u64,
    /// The part of it that was written into that cache.
    pub cache_write: u64,
    /// What was written.
    pub output: u64,
}

impl Usage {
    /// Tokens in and out.
    pub fn tokens(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input = self.input.saturating_add(other.input);
        self.cached_input = self.cached_input.saturating_add(other.cached_input);
        self.cache_write = self.cache_write.saturating_add(other.cache_write);
        self.output = self.output.saturating_add(other.output);
    }
}
