//! The lexical embedder: words, pairs of words and parts of words, hashed into a vector of fixed length. It knows no
//! meaning, only spelling; it is the stand-in where no model can be had, and its name says so beside every score.
//!
//! Feature hashing with signs after Weinberger et al. 2009, sublinear term frequency, length 1.

use std::collections::BTreeMap;
use std::future;

use super::{EmbedError, Embedder, Embedding, TEXTS_MAX, normalise};

/// Its name.
pub const NAME: &str = "lexical-ngram-v1";
/// Numbers in a vector.
pub const DIMENSION: usize = 512;
/// Measured by `tests/it/retrieval.rs`, which fails when it is no longer right.
const SIMILAR_FROM: f32 = 0.19;
/// Words of a text that are looked at; patterns are far shorter.
const WORDS_MAX: usize = 4096;
const WORD_WEIGHT: f32 = 1.0;
const PAIR_WEIGHT: f32 = 0.5;
/// Parts of words catch inflection (`paginate`, `pagination`); there are many of them, hence the small weight.
const PART_WEIGHT: f32 = 0.25;
const PART_CHARACTERS: usize = 4;
const STOP_WORDS: [&str; 40] = [
    "a", "an", "and", "are", "as", "at", "be", "been", "by", "can", "do", "for", "from", "has", "have", "in", "into", "is", "it", "its",
    "may", "not", "of", "on", "or", "so", "such", "than", "that", "the", "their", "then", "there", "these", "this", "to", "was", "which",
    "will", "with",
];

/// The lexical embedder; it holds nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lexical;

impl Lexical {
    /// One of it.
    pub fn new() -> Self {
        Self
    }

    /// The vector of a text; all zeros when the text has no word.
    pub fn vector(text: &str) -> Vec<f32> {
        let words = words(text);
        let mut counts: BTreeMap<String, (f32, f32)> = BTreeMap::new();
        let mut count = |feature: String, weight: f32| counts.entry(feature).or_insert((weight, 0.0)).1 += 1.0;
        for word in &words {
            count(format!("w {word}"), WORD_WEIGHT);
            let marked: Vec<char> = format!("<{word}>").chars().collect();
            for part in marked.windows(PART_CHARACTERS) {
                count(format!("p {}", part.iter().collect::<String>()), PART_WEIGHT);
            }
        }
        for pair in words.windows(2) {
            count(format!("2 {} {}", pair[0], pair[1]), PAIR_WEIGHT);
        }
        let mut vector = vec![0.0; DIMENSION];
        for (feature, (weight, times)) in counts {
            let hash = hash(&feature);
            let sign = if hash >> 63 == 0 { 1.0 } else { -1.0 };
            let place = usize::try_from(hash % DIMENSION as u64).expect("less than the dimension");
            vector[place] += sign * weight * (1.0 + times.ln());
        }
        normalise(&mut vector);
        vector
    }
}

impl Embedder for Lexical {
    fn name(&self) -> &'static str {
        NAME
    }

    fn model_id(&self) -> String {
        format!("{NAME}-{DIMENSION}")
    }

    fn dimension(&self) -> usize {
        DIMENSION
    }

    fn similar_from(&self) -> f32 {
        SIMILAR_FROM
    }

    fn embed(&self, texts: Vec<String>) -> Embedding<'_> {
        let answer = match texts.len() {
            0..=TEXTS_MAX => Ok(texts.iter().map(|text| Self::vector(text)).collect()),
            many => Err(EmbedError::TooMany(many)),
        };
        Box::pin(future::ready(answer))
    }
}

/// The words of a text: lower case, split at everything that is no letter or digit and inside CamelCase, plural `s` cut,
/// words that are in every text dropped.
fn words(text: &str) -> Vec<String> {
    let mut spaced = String::with_capacity(text.len() + 16);
    let mut before = ' ';
    for character in text.chars() {
        if character.is_uppercase() && before.is_lowercase() {
            spaced.push(' ');
        }
        spaced.extend(character.to_lowercase());
        before = character;
    }
    let words = spaced.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty() && !STOP_WORDS.contains(word));
    words.take(WORDS_MAX).map(singular).collect()
}

fn singular(word: &str) -> String {
    let stem = match word {
        _ if word.len() <= 3 || word.ends_with("ss") || word.ends_with("us") || word.ends_with("is") => return word.to_owned(),
        _ => word.strip_suffix("ies").map(|stem| format!("{stem}y")),
    };
    stem.unwrap_or_else(|| word.strip_suffix('s').unwrap_or(word).to_owned())
}

/// FNV-1a with a final mix (splitmix64), since the sign and the place are cut from the same number.
fn hash(text: &str) -> u64 {
    let mut hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::super::cosine;
    use super::*;

    fn check(text: &str, near: &str, far: &str) {
        let vector = Lexical::vector(text);
        let (near_score, far_score) = (cosine(&vector, &Lexical::vector(near)), cosine(&vector, &Lexical::vector(far)));
        assert!(near_score > far_score + 0.1, "{text}: {near} {near_score}, {far} {far_score}");
    }

    #[test]
    fn shared_words_are_nearer_than_none() {
        check("list books with pagination", "paginated list of books", "create an author");
        check("PaginatedList endpoint", "endpoint: paginated lists", "delete one row");
    }

    #[test]
    fn words_are_split_folded_and_cut() {
        assert_eq!(words("GET /bookReviews of the Categories, addresses"), ["get", "book", "review", "category", "addresse"]);
        assert_eq!(words("¿Größe? 東京"), ["größe", "東京"]);
    }

    #[test]
    fn vectors_have_length_one_or_zero() {
        let length = |text: &str| Lexical::vector(text).iter().map(|value| value * value).sum::<f32>();
        assert!((length("a paginated list") - 1.0).abs() < 1e-5);
        assert!(length("the of and").abs() < 1e-9);
    }

    #[tokio::test]
    async fn the_limit_on_texts_is_kept() {
        assert_eq!(Lexical.embed(vec![String::new(); TEXTS_MAX]).await.unwrap().len(), TEXTS_MAX);
        assert!(matches!(Lexical.embed(vec![String::new(); TEXTS_MAX + 1]).await, Err(EmbedError::TooMany(257))));
    }
}
