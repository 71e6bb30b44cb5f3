//! What the frames of a stream say beside the text: identity, usage, the reason of the end, a refusal.
//!
//! Read from the frames as they came over the wire, because the library's own view of them loses the response's id, turns a missing
//! usage into zeros, and passes over refusals.

use std::sync::{Mutex, MutexGuard, PoisonError};

use genai::chat::{ChatFrameSink, FrameCtx, RawFrameRef};
use serde_json::Value;

use crate::agents::usage::Usage;

/// What was seen so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) id: Option<String>,
    pub(super) model: Option<String>,
    /// Why it ended, in the provider's word.
    pub(super) finish: Option<String>,
    /// What the model says instead of an answer.
    pub(super) refusal: String,
    input: Option<Input>,
    output: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Input {
    all: u64,
    cached: u64,
    written: u64,
}

impl Seen {
    /// What the call used; none unless the provider stated both what was read and what was written.
    pub(super) fn usage(&self) -> Option<Usage> {
        let input = self.input?;
        Some(Usage { input: input.all, cached_input: input.cached, cache_write: input.written, output: self.output? })
    }
}

/// The listener that is given to the library.
#[derive(Debug, Default)]
pub(super) struct Frames {
    seen: Mutex<Seen>,
}

impl Frames {
    pub(super) fn seen(&self) -> Seen {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChatFrameSink for Frames {
    fn on_frame(&self, _: &FrameCtx, frame: RawFrameRef<'_>) {
        if let Some(data) = frame.json() {
            observe(&mut self.lock(), &data);
        }
    }
}

/// Takes note of one frame of either protocol; their fields do not overlap.
fn observe(seen: &mut Seen, data: &Value) {
    let text = |pointer: &str| data.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let kind = data.get("type").and_then(Value::as_str);
    match kind {
        Some("message_start") => {
            seen.id = text("/message/id");
            seen.model = text("/message/model");
            seen.input = data.pointer("/message/usage").and_then(anthropic_input);
        }
        Some("message_delta") => {
            // The first frame's output is a start value; this one is the total.
            seen.output = data.pointer("/usage/output_tokens").and_then(Value::as_u64).or(seen.output);
            seen.input = data.get("usage").and_then(anthropic_input).or(seen.input);
            seen.finish = text("/delta/stop_reason").or(seen.finish.take());
        }
        Some(_) => {}
        None => {
            seen.id = text("/id").or(seen.id.take());
            seen.model = text("/model").or(seen.model.take());
            seen.finish = text("/choices/0/finish_reason").or(seen.finish.take());
            seen.refusal.push_str(&text("/choices/0/delta/refusal").unwrap_or_default());
            if let Some(usage) = data.get("usage").filter(|usage| usage.is_object()) {
                let count = |pointer: &str| usage.pointer(pointer).and_then(Value::as_u64);
                let cached = count("/prompt_tokens_details/cached_tokens").unwrap_or(0);
                seen.input = count("/prompt_tokens").map(|all| Input { all, cached, written: 0 }).or(seen.input);
                seen.output = count("/completion_tokens").or(seen.output);
            }
        }
    }
}

/// Anthropic counts what came out of the cache and went into it beside the rest.
fn anthropic_input(usage: &Value) -> Option<Input> {
    let count = |name: &str| usage.get(name).and_then(Value::as_u64);
    let (cached, written) = (count("cache_read_input_tokens").unwrap_or(0), count("cache_creation_input_tokens").unwrap_or(0));
    count("input_tokens").map(|plain| Input { all: plain.saturating_add(cached).saturating_add(written), cached, written })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(frames: &[Value], expected: Option<Usage>) -> Seen {
        let mut seen = Seen::default();
        for frame in frames {
            observe(&mut seen, frame);
        }
        assert_eq!(seen.usage(), expected, "{frames:?}");
        seen
    }

    #[test]
    fn usage_is_the_providers_or_none() {
        let start = json!({"type": "message_start", "message": {"id": "msg_1", "model": "m-1", "usage": {
            "input_tokens": 10, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 2, "output_tokens": 1}}});
        let delta = json!({"type": "message_delta", "delta": {"stop_reason": "refusal"}, "usage": {"output_tokens": 7}});
        let seen = check(&[start.clone(), delta], Some(Usage { input: 16, cached_input: 4, cache_write: 2, output: 7 }));
        assert_eq!((seen.id.as_deref(), seen.model.as_deref(), seen.finish.as_deref()), (Some("msg_1"), Some("m-1"), Some("refusal")));
        check(&[start], None);
        let chunk = json!({"id": "c1", "model": "g", "choices": [{"delta": {"refusal": "No."}, "finish_reason": null}], "usage": null});
        assert_eq!(check(std::slice::from_ref(&chunk), None).refusal, "No.");
        let tail = json!({"id": "c1", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": 3}}});
        check(&[chunk, tail], Some(Usage { input: 5, cached_input: 3, cache_write: 0, output: 0 }));
        check(&[json!({"choices": [], "usage": {"total_tokens": 9}})], None);
    }
}
