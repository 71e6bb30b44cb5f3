//! Text to vectors: a neural sentence model in its own thread, or a lexical stand-in that says what it is.
//!
//! Called by `learning` (patterns and queries) and `cli` (`doctor`). Nothing here stores, compares or searches vectors,
//! and nothing here reaches for the network: `scripts/prepare-embedder` puts the files in place.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use crate::config::{Config, EmbedderChoice};

pub mod files;
pub mod lexical;
#[cfg(feature = "fastembed")]
pub mod neural;

pub use files::{Files, Missing};
pub use lexical::Lexical;

/// Most texts of one call; the caller cuts longer lists.
pub const TEXTS_MAX: usize = 256;

/// Vectors to come, one for each text, in the texts' order.
pub type Embedding<'a> = Pin<Box<dyn Future<Output = Result<Vec<Vec<f32>>, EmbedError>> + Send + 'a>>;

/// Something that turns texts into vectors of length 1, whose dot product is their similarity.
pub trait Embedder: Send + Sync {
    /// The name that stands beside every score: `all-MiniLM-L6-v2`, `lexical-ngram-v1`.
    fn name(&self) -> &'static str;

    /// The name of the collection generation: name, version and dimension. Vectors of different ids are never compared.
    fn model_id(&self) -> String;

    /// Numbers in a vector.
    fn dimension(&self) -> usize;

    /// The cosine of two units' texts from which on they are the same sort of work, and worth showing to each other. Measured
    /// on a labelled set. Questions of a few words score lower: a search by words has no threshold unless one is given.
    fn similar_from(&self) -> f32;

    /// Turns at most [`TEXTS_MAX`] texts into vectors.
    fn embed(&self, texts: Vec<String>) -> Embedding<'_>;
}

/// What went wrong while embedding.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The model's thread has ended.
    #[error("the embedder's thread has ended")]
    Ended,
    /// The model refused the input or the runtime failed.
    #[error("the model {model} failed on {texts} texts: {reason}")]
    Model {
        /// The model.
        model: &'static str,
        /// How many texts were given.
        texts: usize,
        /// What it said.
        reason: String,
    },
    /// More than [`TEXTS_MAX`] texts.
    #[error("{0} texts in one call, at most {TEXTS_MAX} are allowed")]
    TooMany(usize),
}

/// Which embedder to open, and from where.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `DATA_DIR/embedder`, as `scripts/prepare-embedder` fills it.
    pub directory: PathBuf,
    /// Another ONNX Runtime library; its file name must carry its version.
    pub library: Option<PathBuf>,
    /// Which one is wanted.
    pub choice: EmbedderChoice,
}

impl Settings {
    /// What the configuration says.
    pub fn of(config: &Config) -> Self {
        Self { directory: config.data_dir.join("embedder"), library: config.embedder_library.clone(), choice: config.embedder }
    }
}

/// Which embedder serves, why, and what would change it: a line of `doctor` and of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The embedder's name.
    pub name: &'static str,
    /// Its model id.
    pub model_id: String,
    /// Numbers in a vector.
    pub dimension: usize,
    /// True when it is the neural one.
    pub neural: bool,
    /// Why this one, in a phrase.
    pub reason: String,
    /// What to do to get the better one; none when it serves.
    pub hint: Option<String>,
}

/// Opens the embedder that is wanted and can be had, and says which one it is and why. Loads the model (about 0.3 s), so that
/// a model that does not load shows here and not in mid-run. Fails only when the neural one is insisted on.
pub async fn open(settings: &Settings) -> Result<(Arc<dyn Embedder>, Status), Missing> {
    if settings.choice == EmbedderChoice::Lexical {
        return Ok(lexical("asked for by the settings".to_owned(), None));
    }
    match open_neural(settings).await {
        Ok((embedder, reason)) => {
            let status = status(embedder.as_ref(), reason, None);
            Ok((embedder, Status { neural: true, ..status }))
        }
        Err(missing) if settings.choice == EmbedderChoice::Fastembed => Err(missing),
        Err(missing) => Ok(lexical(missing.to_string(), Some(missing.hint()))),
    }
}

fn lexical(reason: String, hint: Option<String>) -> (Arc<dyn Embedder>, Status) {
    let embedder = Lexical::new();
    let status = status(&embedder, reason, hint);
    (Arc::new(embedder), status)
}

fn status(embedder: &dyn Embedder, reason: String, hint: Option<String>) -> Status {
    Status { name: embedder.name(), model_id: embedder.model_id(), dimension: embedder.dimension(), neural: false, reason, hint }
}

#[cfg(feature = "fastembed")]
async fn open_neural(settings: &Settings) -> Result<(Arc<dyn Embedder>, String), Missing> {
    let files = Files::locate(&settings.directory, settings.library.as_deref())?;
    let reason = format!("ONNX Runtime {} and the model in {}", files.library_version, settings.directory.display());
    Ok((Arc::new(neural::Neural::open(files).await?), reason))
}

#[cfg(not(feature = "fastembed"))]
#[expect(clippy::unused_async, reason = "the same signature as with the feature")]
async fn open_neural(_: &Settings) -> Result<(Arc<dyn Embedder>, String), Missing> {
    Err(Missing::Feature)
}

/// Scales a vector to length 1; one of zeros stays as it is.
pub fn normalise(vector: &mut [f32]) {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length > 0.0 {
        for value in vector {
            *value /= length;
        }
    }
}

/// The cosine of two vectors of the same length, 0 when one of them is all zeros.
pub fn cosine(left: &[f32], right: &[f32]) -> f32 {
    let (mut dot, mut left_square, mut right_square) = (0.0_f32, 0.0_f32, 0.0_f32);
    for (a, b) in left.iter().zip(right) {
        dot += a * b;
        left_square += a * a;
        right_square += b * b;
    }
    let product = (left_square * right_square).sqrt();
    if product > 0.0 { dot / product } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(choice: EmbedderChoice) -> Result<(Arc<dyn Embedder>, Status), Missing> {
        let directory = tempfile::tempdir().unwrap();
        open(&Settings { directory: directory.path().to_owned(), library: None, choice }).await
    }

    #[tokio::test]
    async fn an_empty_directory_gives_the_lexical_embedder_with_a_hint() {
        let (embedder, status) = check(EmbedderChoice::Auto).await.unwrap();
        assert_eq!(embedder.name(), lexical::NAME);
        assert!(!status.neural);
        assert!(status.hint.is_some_and(|hint| hint.contains("prepare-embedder") || hint.contains("--features")), "{}", status.reason);
    }

    #[tokio::test]
    async fn an_empty_directory_is_an_error_when_the_neural_one_is_insisted_on() {
        assert!(check(EmbedderChoice::Fastembed).await.is_err());
    }

    #[tokio::test]
    async fn lexical_on_request_needs_no_hint() {
        let (_, status) = check(EmbedderChoice::Lexical).await.unwrap();
        assert_eq!((status.name, status.hint), (lexical::NAME, None));
    }

    #[test]
    fn cosine_of_parallel_orthogonal_and_empty() {
        assert!((cosine(&[2.0, 0.0], &[5.0, 0.0]) - 1.0).abs() < 1e-6);
        assert!(cosine(&[1.0, 0.0], &[0.0, 1.0]).abs() < 1e-6);
        assert!(cosine(&[0.0, 0.0], &[0.0, 1.0]).abs() < 1e-6);
    }
}
