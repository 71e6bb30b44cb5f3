//! One request to a model: sent, streamed, and read to its end or its failure.
//!
//! On the crate `genai`, which knows the protocols. Which one is spoken is always set, never guessed from a model's name; the URL, the
//! headers and the name of the model are this module's own, so nothing that the crate would derive from them reaches a server.

mod chat;
mod settings;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use genai::adapter::AdapterKind;
use genai::chat::{ChatMessage, ChatOptions, ChatRequest, ChatStreamEvent, ReasoningEffort};
use genai::resolver::{AuthData, Endpoint};
use genai::{Client, Headers, ModelIden, ServiceTarget};
use tokio::time::{Instant, timeout_at};

pub use chat::{Message, Reply, Request, Speaker, Stop};
pub use settings::{ProviderError, ProviderKind, ProviderSettings};

use super::answer::ANSWER_BYTES_MAX;
use super::fault::{CallError, Fault};
use super::frames::Frames;
use crate::config::Secret;
use crate::redact::redact;
use settings::address;

/// The version of the Messages API that is spoken.
const ANTHROPIC_VERSION: &str = "2023-06-01";
/// How long a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(15);
/// More of an error's text is not told.
const MESSAGE_CHARS_MAX: usize = 500;

/// A provider that can be asked.
pub struct Provider {
    kind: ProviderKind,
    client: Client,
    url: String,
    endpoint: String,
    key: Option<Secret>,
    stall: Duration,
    loopback: bool,
}

impl fmt::Debug for Provider {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Provider").field("kind", &self.kind).field("url", &self.url).finish_non_exhaustive()
    }
}

impl Provider {
    /// A provider as set. Connects to nothing.
    pub fn new(settings: ProviderSettings) -> Result<Self, ProviderError> {
        let ProviderSettings { kind, base_url, key, stall } = settings;
        let base = base_url.or_else(|| kind.base_url().map(str::to_owned)).ok_or(ProviderError::NoAddress(kind))?;
        let (endpoint, loopback) = address(&base)?;
        if kind.needs_key() && key.is_none() {
            return Err(ProviderError::NoKey(kind));
        }
        if key.is_some() && !loopback && endpoint.starts_with("http:") {
            return Err(ProviderError::ClearText(base));
        }
        // The builder wants one whether TLS is spoken or not. That another part installed one already is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // A key follows no redirect, and what is meant for this machine goes through no proxy.
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).connect_timeout(CONNECT_MAX);
        let http = if loopback { http.no_proxy() } else { http }.build().map_err(ProviderError::Client)?;
        let client = Client::builder().with_reqwest(http).build().map_err(|error| ProviderError::Library(error.to_string()))?;
        let url = format!("{endpoint}{}", if kind == ProviderKind::Anthropic { "messages" } else { "chat/completions" });
        Ok(Self { kind, client, url, endpoint, key, stall, loopback })
    }

    /// Its kind.
    pub fn kind(&self) -> ProviderKind {
        self.kind
    }

    /// True when it is on this machine.
    pub fn loopback(&self) -> bool {
        self.loopback
    }

    /// Checks that a model's name reaches the provider as it stands.
    pub fn check_model(&self, model: &str) -> Result<(), ProviderError> {
        let wrong = |why| Err(ProviderError::Model(model.to_owned(), why));
        if model.trim().is_empty() || model.trim() != model {
            return wrong("is empty or has spaces around it");
        }
        if model.contains("::") {
            return wrong("must not name a provider: that is set by itself");
        }
        // For the other protocol the library can be kept from it, see `options`.
        if self.kind == ProviderKind::Anthropic && ReasoningEffort::from_model_name(model).0.is_some() {
            return wrong("ends in a word that stands for an effort: no model of this protocol has such a name");
        }
        Ok(())
    }

    /// Asks once, without trying again.
    pub async fn complete(&self, request: &Request, deadline: Instant) -> Result<Reply, CallError> {
        self.check_model(&request.model).map_err(|error| CallError::new(Fault::Rejected, false, error.to_string()))?;
        let result = match timeout_at(deadline, self.stream(request)).await {
            Ok(result) => result,
            Err(_) => Err(CallError::new(Fault::Deadline, true, "the deadline passed before the answer was whole")),
        };
        result.map_err(|error| CallError { message: self.clean(&error.message).chars().take(MESSAGE_CHARS_MAX).collect(), ..error })
    }

    /// A text without the key and without anything that looks like a secret.
    pub fn clean(&self, text: &str) -> String {
        match self.key.as_ref().map(Secret::expose).filter(|key| !key.is_empty()) {
            Some(key) => redact(&text.replace(key, "[redacted]")),
            None => redact(text),
        }
    }

    async fn stream(&self, request: &Request) -> Result<Reply, CallError> {
        let frames = Arc::new(Frames::default());
        let messages = request.messages.iter().map(|message| match message.speaker {
            Speaker::User => ChatMessage::user(message.text.as_str()),
            Speaker::Model => ChatMessage::assistant(message.text.as_str()),
        });
        let chat = ChatRequest::new(messages.collect()).with_system(request.system.as_str());
        let options = self.options(request, Arc::clone(&frames));
        let mut stream =
            self.client.exec_chat_stream(self.target(&request.model), chat, Some(&options)).await.map_err(CallError::of)?.stream;
        let (mut text, mut ended) = (String::new(), false);
        while let Some(event) = stream.next().await {
            match event.map_err(CallError::of)? {
                ChatStreamEvent::Chunk(chunk) => text.push_str(&chunk.content),
                ChatStreamEvent::End(_) => ended = true,
                _ => {}
            }
            if text.len() > ANSWER_BYTES_MAX {
                return Err(CallError::new(Fault::Protocol, true, format!("the answer has more than {ANSWER_BYTES_MAX} bytes")));
            }
        }
        let seen = frames.seen();
        // Some servers close the stream without the protocol's last frame; the reason of the end is proof enough.
        if !ended && seen.finish.is_none() {
            return Err(CallError::new(Fault::Cut, true, "the stream ended before the answer did"));
        }
        let (usage, refused) = (seen.usage(), !seen.refusal.is_empty());
        let stop = if refused { Stop::Refusal } else { Stop::of(seen.finish) };
        let text = if refused { seen.refusal } else { text };
        Ok(Reply { text, stop, usage, id: seen.id, model: seen.model })
    }

    fn options(&self, request: &Request, frames: Arc<Frames>) -> ChatOptions {
        let options = ChatOptions::default()
            .with_max_tokens(request.output_tokens_max)
            .with_capture_usage(true)
            .with_stream_header_timeout(self.stall)
            .with_stream_read_timeout(self.stall)
            .with_raw_frame_sink_arc(frames);
        let options = match request.temperature {
            Some(temperature) => options.with_temperature(temperature),
            None => options,
        };
        match self.kind {
            ProviderKind::Anthropic => options,
            // An effort that this protocol has no word for is not sent; without one the library takes `-high` and the like off a name.
            _ => options.with_reasoning_effort(ReasoningEffort::Budget(0)),
        }
    }

    fn target(&self, model: &str) -> ServiceTarget {
        let key = self.key.as_ref().map(Secret::expose);
        let headers: HashMap<String, String> = match (self.kind, key) {
            (ProviderKind::Anthropic, key) => {
                let version = ("anthropic-version".to_owned(), ANTHROPIC_VERSION.to_owned());
                key.map(|key| ("x-api-key".to_owned(), key.to_owned())).into_iter().chain([version]).collect()
            }
            (_, key) => key.map(|key| ("authorization".to_owned(), format!("Bearer {key}"))).into_iter().collect(),
        };
        let adapter = if self.kind == ProviderKind::Anthropic { AdapterKind::Anthropic } else { AdapterKind::OpenAI };
        ServiceTarget {
            endpoint: Endpoint::from_owned(self.endpoint.as_str()),
            auth: AuthData::RequestOverride { url: self.url.clone(), headers: Headers::from(headers) },
            model: ModelIden::new(adapter, model),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &str, base_url: Option<&str>, key: Option<&str>, expected: Result<(&str, bool), &str>) {
        let key = key.map(|key| Secret::from(key.to_owned()));
        let settings =
            ProviderSettings { kind: kind.parse().unwrap(), base_url: base_url.map(str::to_owned), key, stall: Duration::from_secs(1) };
        let found = Provider::new(settings).map_err(|error| error.to_string());
        let found = found.as_ref().map(|provider| (provider.url.as_str(), provider.loopback()));
        assert_eq!(found.map_err(|error| error.lines().next().unwrap_or_default()), expected);
    }

    #[test]
    fn a_provider_is_where_its_kind_or_the_settings_say() {
        check("anthropic", None, Some("k"), Ok(("https://api.anthropic.com/v1/messages", false)));
        check("openai", None, Some("k"), Ok(("https://api.openai.com/v1/chat/completions", false)));
        check("ollama", None, None, Ok(("http://127.0.0.1:11434/v1/chat/completions", true)));
        check("openai-compatible", Some("http://[::1]:80/v1/"), Some("k"), Ok(("http://[::1]/v1/chat/completions", true)));
        check("openai-compatible", Some("http://gpu:8000/v1"), None, Ok(("http://gpu:8000/v1/chat/completions", false)));
    }

    #[test]
    fn settings_that_could_not_work_or_would_give_a_key_away_are_refused() {
        check("anthropic", None, None, Err("the provider anthropic needs a key"));
        check("openai-compatible", None, None, Err("the provider openai-compatible has no address of its own"));
        check(
            "openai-compatible",
            Some("http://gpu:8000/v1"),
            Some("k"),
            Err("a key is sent over https or to this machine, not to http://gpu:8000/v1"),
        );
        check("openai-compatible", Some("https://u:p@h/v1"), None, Err("\"https://u:[redacted]@h/v1\" is no address of a provider"));
        check("openai-compatible", Some("ftp://h/v1"), None, Err("\"ftp://h/v1\" is no address of a provider"));
        check("openai-compatible", Some("gpu"), None, Err("\"gpu\" is no address of a provider"));
        assert!("gemini".parse::<ProviderKind>().is_err());
    }

    #[test]
    fn names_of_models_that_would_be_taken_apart_are_refused() {
        let settings =
            |kind| ProviderSettings { kind, base_url: None, key: Some(Secret::from("k".to_owned())), stall: Duration::from_secs(1) };
        let anthropic = Provider::new(settings(ProviderKind::Anthropic)).unwrap();
        let openai = Provider::new(settings(ProviderKind::OpenAi)).unwrap();
        let check = |provider: &Provider, model, valid| assert_eq!(provider.check_model(model).is_ok(), valid, "{model}");
        check(&anthropic, "claude-sonnet-4-5", true);
        check(&anthropic, "claude-sonnet-high", false);
        check(&openai, "qwen3-max", true);
        check(&openai, "anthropic::claude", false);
        check(&openai, " ", false);
    }
}
