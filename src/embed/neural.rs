//! The neural embedder: all-MiniLM-L6-v2 through ONNX Runtime, in a thread of its own, because a call blocks for
//! milliseconds and needs the model for itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use fastembed::{InitOptionsUserDefined, Pooling, TextEmbedding, TokenizerFiles, UserDefinedEmbeddingModel};
use ort::environment::Environment;
use tokio::sync::{mpsc, oneshot};

use super::files::{Files, Missing};
use super::{EmbedError, Embedder, Embedding, TEXTS_MAX};

/// The model's name.
pub const NAME: &str = "all-MiniLM-L6-v2";
/// Numbers in a vector.
pub const DIMENSION: usize = 384;
/// Raised when the same text would get another vector: other weights, pooling or cut.
const VERSION: u32 = 1;
/// Measured by `tests/it/retrieval.rs`, which fails when it is no longer right.
const SIMILAR_FROM: f32 = 0.41;
/// Loading takes 0.3 s; a runtime that hangs must not hang the caller.
const LOAD_SECS_MAX: u64 = 30;
/// Calls that may wait for the thread.
const QUEUE_MAX: usize = 64;
/// Texts that go through the model together; more make padding dear.
const BATCH_TEXTS: usize = 32;
/// More threads than this do not make short texts faster.
const THREADS_MAX: usize = 2;

/// A handle to the model's thread, which ends when the last handle is dropped.
#[derive(Debug)]
pub struct Neural {
    requests: mpsc::Sender<Request>,
}

struct Request {
    texts: Vec<String>,
    reply: oneshot::Sender<Result<Vec<Vec<f32>>, EmbedError>>,
}

impl Neural {
    /// Starts the thread and waits until the model is loaded, at most 30 s.
    pub async fn open(files: Files) -> Result<Self, Missing> {
        let (requests, inbox) = mpsc::channel(QUEUE_MAX);
        let (ready, loaded) = oneshot::channel();
        thread::Builder::new()
            .name("embedder".to_owned())
            .spawn(move || serve(&files, ready, inbox))
            .map_err(|error| Missing::Load { model: NAME, reason: error.to_string() })?;
        let within = Duration::from_secs(LOAD_SECS_MAX);
        match tokio::time::timeout(within, loaded).await {
            Ok(Ok(Ok(()))) => Ok(Self { requests }),
            Ok(Ok(Err(missing))) => Err(missing),
            Ok(Err(_)) => Err(Missing::Load { model: NAME, reason: "its thread ended".to_owned() }),
            Err(_) => Err(Missing::Slow { model: NAME, within }),
        }
    }
}

impl Embedder for Neural {
    fn name(&self) -> &'static str {
        NAME
    }

    fn model_id(&self) -> String {
        format!("{NAME}-v{VERSION}-{DIMENSION}")
    }

    fn dimension(&self) -> usize {
        DIMENSION
    }

    fn similar_from(&self) -> f32 {
        SIMILAR_FROM
    }

    fn embed(&self, texts: Vec<String>) -> Embedding<'_> {
        Box::pin(async move {
            if texts.len() > TEXTS_MAX {
                return Err(EmbedError::TooMany(texts.len()));
            }
            let (reply, answer) = oneshot::channel();
            self.requests.send(Request { texts, reply }).await.map_err(|_| EmbedError::Ended)?;
            answer.await.map_err(|_| EmbedError::Ended)?
        })
    }
}

/// The thread: load, say so, then answer one request after the other until nobody can ask any more.
fn serve(files: &Files, ready: oneshot::Sender<Result<(), Missing>>, mut inbox: mpsc::Receiver<Request>) {
    let mut model = match guarded(|| load(files)).unwrap_or_else(|reason| Err(Missing::Load { model: NAME, reason })) {
        Ok(model) => model,
        Err(missing) => return drop(ready.send(Err(missing))),
    };
    if ready.send(Ok(())).is_err() {
        return;
    }
    while let Some(Request { texts, reply }) = inbox.blocking_recv() {
        let answer = guarded(|| embed(&mut model, &texts)).unwrap_or_else(|reason| Err(failure(&texts, reason)));
        // Whoever asked may have gone; there is nobody to tell.
        drop(reply.send(answer));
    }
}

fn load(files: &Files) -> Result<TextEmbedding, Missing> {
    let failed = |reason: String| Missing::Load { model: NAME, reason };
    let environment = environment(files)?;
    let tokenizer_files = TokenizerFiles {
        tokenizer_file: files.read("tokenizer.json")?,
        config_file: files.read("config.json")?,
        special_tokens_map_file: files.read("special_tokens_map.json")?,
        tokenizer_config_file: files.read("tokenizer_config.json")?,
    };
    let model = UserDefinedEmbeddingModel::new(files.read("model.onnx")?, tokenizer_files).with_pooling(Pooling::Mean);
    let threads = thread::available_parallelism().map_or(1, |count| count.get().min(THREADS_MAX));
    let options = InitOptionsUserDefined::new().with_environment(environment).with_max_length(files.tokens_max).with_intra_threads(threads);
    TextEmbedding::try_new_from_user_defined(model, options).map_err(|error| failed(error.to_string()))
}

/// The runtime allows one environment in a process, so the first one stays, with the library that it was made from.
fn environment(files: &Files) -> Result<Environment, Missing> {
    static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);
    let mut kept = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = kept.as_ref() {
        return Ok(environment.clone());
    }
    let failed = |reason: String| Missing::Load { model: NAME, reason };
    let builder = ort::init_from(&files.library).map_err(|error| failed(error.to_string()))?;
    let environment = builder.with_telemetry(false).build().map_err(|error| failed(error.to_string()))?;
    *kept = Some(environment.clone());
    Ok(environment)
}

/// Short texts go together with short ones, since each batch costs what its longest text costs. The library scales each
/// vector to length 1.
fn embed(model: &mut TextEmbedding, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError> {
    if texts.is_empty() {
        return Ok(Vec::new());
    }
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|index| texts[*index].len());
    let sorted: Vec<&str> = order.iter().map(|index| texts[*index].as_str()).collect();
    let vectors = model.embed(&sorted, Some(BATCH_TEXTS)).map_err(|error| failure(texts, error.to_string()))?;
    if vectors.len() != texts.len() || vectors.iter().any(|vector| vector.len() != DIMENSION) {
        return Err(failure(texts, format!("{} vectors of an unexpected shape", vectors.len())));
    }
    let mut placed = vec![Vec::new(); texts.len()];
    for (index, vector) in order.into_iter().zip(vectors) {
        placed[index] = vector;
    }
    Ok(placed)
}

fn failure(texts: &[String], reason: String) -> EmbedError {
    EmbedError::Model { model: NAME, texts: texts.len(), reason }
}

/// Runs foreign code that is known to panic on a bad installation; a panic becomes its message.
fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        text.unwrap_or_else(|| "the runtime panicked".to_owned())
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::{Settings, Status, cosine, open};
    use super::*;
    use crate::config::{Config, EmbedderChoice};

    /// The settings of a prepared embedder; without one the caller is skipped, or fails where services are required.
    pub(crate) fn prepared() -> Option<Settings> {
        let settings = Settings::of(&Config::load(&[]).expect("the settings of the tests are valid"));
        if settings.directory.join("manifest.json").exists() {
            return Some(Settings { choice: EmbedderChoice::Fastembed, ..settings });
        }
        let required = std::env::var_os("SPECWAVE_REQUIRE_SERVICES").is_some_and(|value| value == "1");
        assert!(!required, "no embedder is prepared in {}: run scripts/prepare-embedder", settings.directory.display());
        eprintln!("skipped: no embedder is prepared in {} (scripts/prepare-embedder)", settings.directory.display());
        None
    }

    async fn opened() -> Option<(std::sync::Arc<dyn Embedder>, Status)> {
        Some(open(&prepared()?).await.expect("a prepared embedder opens"))
    }

    async fn check(left: &str, right: &str, expect: f32) {
        let Some((embedder, _)) = opened().await else { return };
        let vectors = embedder.embed(vec![left.to_owned(), right.to_owned()]).await.unwrap();
        let found = cosine(&vectors[0], &vectors[1]);
        assert!((found - expect).abs() < 2e-3, "{left} | {right}: {found}, the published value is {expect}");
    }

    /// The values that the model's publishers print for it; a wrong conversion, pooling or tokenizer shows here.
    #[tokio::test]
    async fn similarities_are_the_published_ones() {
        check("The weather is lovely today.", "It's so sunny outside!", 0.6660).await;
        check("The weather is lovely today.", "He drove to the stadium.", 0.1046).await;
        check("It's so sunny outside!", "He drove to the stadium.", 0.1411).await;
    }

    #[tokio::test]
    async fn padding_does_not_change_a_vector_and_order_is_kept() {
        let Some((embedder, status)) = opened().await else { return };
        assert_eq!((embedder.name(), status.dimension), (NAME, DIMENSION));
        let texts: Vec<String> = (1..=BATCH_TEXTS + 3).map(|count| "delete a row ".repeat(count)).collect();
        let together = embedder.embed(texts.clone()).await.unwrap();
        for index in [0, BATCH_TEXTS - 1, BATCH_TEXTS, BATCH_TEXTS + 2] {
            let alone = embedder.embed(vec![texts[index].clone()]).await.unwrap();
            assert!(cosine(&alone[0], &together[index]) > 0.9999, "text {index}");
        }
    }

    #[tokio::test]
    async fn no_text_gives_no_vector_and_too_many_are_refused() {
        let Some((embedder, _)) = opened().await else { return };
        assert!(embedder.embed(Vec::new()).await.unwrap().is_empty());
        assert!(matches!(embedder.embed(vec![String::new(); TEXTS_MAX + 1]).await, Err(EmbedError::TooMany(_))));
    }

    #[tokio::test]
    async fn a_library_that_is_none_falls_back_with_a_reason() {
        let Some(settings) = prepared() else { return };
        let fake = tempfile::tempdir().unwrap();
        let library = fake.path().join("libonnxruntime.so.1.31.1");
        std::fs::write(&library, "not a library, but long enough to have a header").unwrap();
        let settings = Settings { library: Some(library), choice: EmbedderChoice::Auto, ..settings };
        let (embedder, status) = open(&settings).await.unwrap();
        assert!(embedder.name().starts_with("lexical"));
        assert!(status.reason.contains("not a shared library"), "{}", status.reason);
    }
}
