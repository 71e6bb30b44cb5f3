//! Seeds made from facts: chance that can be drawn again, and explained.

use std::fmt;

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// 2^-53: the distance between the numbers of `[0, 1)` that are drawn.
const STEP: f64 = 1.0 / 9_007_199_254_740_992.0;

/// 256 bits, equal for equal facts and otherwise as good as independent; in text 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Seed(pub [u8; 32]);

impl Seed {
    /// SHA-256 over the purpose and the facts, each preceded by its length in bytes (64 bits, big end first), so that no two lists of
    /// facts read alike. Draws with different purposes say nothing about each other.
    pub fn of(purpose: &str, facts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in std::iter::once(purpose.as_bytes()).chain(facts.iter().copied()) {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// A number of `[0, 1)`, a multiple of 2^-53: the first 53 bits.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what an f64 holds")]
    pub fn uniform(&self) -> f64 {
        let first: [u8; 8] = self.0[..8].try_into().expect("a seed has 32 bytes");
        (u64::from_be_bytes(first) >> 11) as f64 * STEP
    }

    /// A generator that starts here. Xoshiro256++ (Blackman and Vigna 2019) is named, and not the library's default, because the
    /// default may change with a version.
    pub fn generator(&self) -> Xoshiro256PlusPlus {
        Xoshiro256PlusPlus::from_seed(self.0)
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Seed({self})")
    }
}

impl From<Seed> for String {
    fn from(seed: Seed) -> Self {
        seed.to_string()
    }
}

impl TryFrom<String> for Seed {
    type Error = hex::FromHexError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map(|()| Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_that_read_alike_together_are_told_apart() {
        let seed = Seed::of("draw", &[b"ab", b"c"]);
        assert_eq!(seed, Seed::of("draw", &[b"ab", b"c"]));
        for other in [Seed::of("draw", &[b"a", b"bc"]), Seed::of("draw", &[b"abc"]), Seed::of("other", &[b"ab", b"c"])] {
            assert_ne!(seed, other);
        }
    }

    #[test]
    fn a_seed_survives_being_written_down() {
        let seed = Seed::of("draw", &[]);
        let text = serde_json::to_string(&seed).unwrap();
        assert_eq!(text.len(), 66, "64 digits between quotes: {text}");
        assert_eq!(serde_json::from_str::<Seed>(&text).unwrap(), seed);
        assert!(serde_json::from_str::<Seed>("\"00\"").is_err());
    }

    #[test]
    fn the_first_bits_are_the_number() {
        let mut bytes = [0; 32];
        assert!(Seed(bytes).uniform().abs() < f64::EPSILON);
        bytes[0] = 0b1100_0000;
        assert!((Seed(bytes).uniform() - 0.75).abs() < f64::EPSILON);
        assert!(Seed([255; 32]).uniform() < 1.0);
    }
}
