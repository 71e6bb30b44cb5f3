//! A stand-in for the server of a model, for tests: it replays scripted replies in the shapes in which Anthropic's Messages API and
//! OpenAI's Chat Completions API stream theirs, and keeps what it was asked.
//!
//! It runs on a thread of its own, so tests that drive a process and tests on a runtime use it alike. It is no model: what it says is
//! scripted, and no time that is measured with it is a model's.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Streams are sent in pieces of this size, so that frames and characters are cut apart on their way.
const PIECE_BYTES: usize = 23;
/// Characters of an answer in one frame.
const DELTA_CHARS: usize = 17;

/// What was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The path.
    pub path: String,
    /// By lower-case name.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Value,
}

/// How a reply ends.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Whole,
    Cut,
    Hang,
}

/// One scripted reply.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    /// Frames of a stream, or one body.
    parts: Vec<String>,
    ending: Ending,
}

impl Reply {
    /// An answer that is no stream.
    pub fn status(status: u16, body: &Value) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self { status, headers, parts: vec![body.to_string()], ending: Ending::Whole }
    }

    /// A stream of frames as they are.
    pub fn stream(parts: Vec<String>) -> Self {
        let headers = vec![("content-type".to_owned(), "text/event-stream; charset=utf-8".to_owned())];
        Self { status: 200, headers, parts, ending: Ending::Whole }
    }

    /// Its frames.
    pub fn parts(&self) -> &[String] {
        &self.parts
    }

    /// The same with one more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Only the first frames; then the connection is lost.
    pub fn cut_after(self, parts: usize) -> Self {
        Self { parts: self.parts.into_iter().take(parts).collect(), ending: Ending::Cut, ..self }
    }

    /// Only the first frames; then nothing more comes, and the connection stays.
    pub fn hang_after(self, parts: usize) -> Self {
        Self { parts: self.parts.into_iter().take(parts).collect(), ending: Ending::Hang, ..self }
    }
}

/// An answer as Anthropic streams it; `usage` is input and output.
pub fn anthropic(text: &str, stop_reason: &str, usage: (u64, u64)) -> Reply {
    let mut frames = vec![
        json!({"type": "message_start", "message": {"id": "msg_01", "type": "message", "role": "assistant", "model": "claude-test-1-20260101",
            "content": [], "stop_reason": null, "stop_sequence": null,
            "usage": {"input_tokens": usage.0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "ping"}),
    ];
    frames
        .extend(deltas(text).map(|text| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})));
    frames.push(json!({"type": "content_block_stop", "index": 0}));
    frames.push(
        json!({"type": "message_delta", "delta": {"stop_reason": stop_reason, "stop_sequence": null}, "usage": {"output_tokens": usage.1}}),
    );
    frames.push(json!({"type": "message_stop"}));
    Reply::stream(frames.iter().map(event).collect())
}

/// A stream of Anthropic's that breaks off with an error after its first frames.
pub fn anthropic_error(kind: &str, message: &str) -> Reply {
    let mut reply = anthropic("Let me", "end_turn", (9, 9)).cut_after(4);
    reply.parts.push(event(&json!({"type": "error", "error": {"type": kind, "message": message}})));
    Reply { ending: Ending::Whole, ..reply }
}

/// An error of Anthropic's that comes instead of a stream.
pub fn anthropic_status(status: u16, kind: &str, message: &str) -> Reply {
    Reply::status(status, &json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_01"}))
}

/// An answer as OpenAI streams it; `usage` is input, the cached part of it, and output.
pub fn openai(text: &str, finish_reason: &str, usage: Option<(u64, u64, u64)>) -> Reply {
    let chunk = |choices: Value, usage: Value| json!({"id": "chatcmpl-01", "object": "chat.completion.chunk", "created": 1_767_225_600, "model": "gpt-test-2026-01-01", "choices": choices, "usage": usage});
    let choice = |delta: Value, finish: Value| json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]);
    let mut frames = vec![chunk(choice(json!({"role": "assistant", "content": "", "refusal": null}), Value::Null), Value::Null)];
    frames.extend(deltas(text).map(|text| chunk(choice(json!({"content": text}), Value::Null), Value::Null)));
    frames.push(chunk(choice(json!({}), json!(finish_reason)), Value::Null));
    if let Some((input, cached, output)) = usage {
        let usage = json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
            "prompt_tokens_details": {"cached_tokens": cached}, "completion_tokens_details": {"reasoning_tokens": 0}});
        frames.push(chunk(json!([]), usage));
    }
    let mut parts: Vec<String> = frames.iter().map(|frame| format!("data: {frame}\n\n")).collect();
    parts.push("data: [DONE]\n\n".to_owned());
    Reply::stream(parts)
}

/// A refusal as OpenAI streams it.
pub fn openai_refusal(text: &str) -> Reply {
    let mut reply = openai("", "stop", Some((7, 0, 3)));
    let frame = json!({"id": "chatcmpl-01", "object": "chat.completion.chunk", "model": "gpt-test-2026-01-01",
        "choices": [{"index": 0, "delta": {"refusal": text}, "finish_reason": null}]});
    reply.parts.insert(1, format!("data: {frame}\n\n"));
    reply
}

/// An error of OpenAI's that comes instead of a stream.
pub fn openai_status(status: u16, kind: &str, code: &str, message: &str) -> Reply {
    Reply::status(status, &json!({"error": {"message": message, "type": kind, "param": null, "code": code}}))
}

fn event(frame: &Value) -> String {
    format!("event: {}\ndata: {frame}\n\n", frame["type"].as_str().unwrap())
}

fn deltas(text: &str) -> impl Iterator<Item = String> {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(DELTA_CHARS).map(|chunk| chunk.iter().collect()).collect::<Vec<String>>().into_iter()
}

/// What decides about the answers.
type Answer = Box<dyn FnMut(&Asked) -> Reply + Send>;

/// A running server; dropped, it ends.
pub struct ModelServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ModelServer {
    /// A server on a free port of this machine that gives these replies in their order; whoever asks for more is answered 400.
    pub fn start(replies: Vec<Reply>) -> Self {
        let mut replies = replies.into_iter();
        let none = || Reply::status(400, &json!({"error": {"message": "no reply is scripted for this request"}}));
        Self::answering(move |_| replies.next().unwrap_or_else(none))
    }

    /// A server on a free port of this machine that answers by what it is asked.
    pub fn answering(answer: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        let (bound, address) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                bound.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = listen(listener, Box::new(answer), kept) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address: address.recv().unwrap(), asked, stop: Some(stop), thread: Some(thread) }
    }

    /// Its base URL.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn listen(listener: TcpListener, answer: Answer, asked: Arc<Mutex<Vec<Asked>>>) {
    let answer = Arc::new(Mutex::new(answer));
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (answer, asked) = (Arc::clone(&answer), Arc::clone(&asked));
        connections.spawn(async move {
            let mut stream = stream;
            let Some(request) = receive(&mut stream).await else { return };
            // The request is kept before it is answered: whoever has the answer finds it.
            asked.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
            let reply = answer.lock().unwrap_or_else(PoisonError::into_inner)(&request);
            // A client that has gone needs no answer.
            let _ = send(&mut stream, &reply).await;
        });
    }
}

/// Reads one request; none when the client goes away in the middle.
async fn receive(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let mut lines = text.split("\r\n");
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: BTreeMap<String, String> =
        lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    let length: usize = headers.get("content-length")?.parse().ok()?;
    while bytes.len() < head + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = serde_json::from_slice(&bytes[head + 4..]).ok()?;
    Some(Asked { path, headers, body })
}

async fn send(stream: &mut TcpStream, reply: &Reply) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} Scripted\r\ntransfer-encoding: chunked\r\nconnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head = format!("{head}{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await?;
    for piece in reply.parts.concat().as_bytes().chunks(PIECE_BYTES) {
        stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
        stream.write_all(piece).await?;
        stream.write_all(b"\r\n").await?;
        stream.flush().await?;
    }
    match reply.ending {
        Ending::Whole => stream.write_all(b"0\r\n\r\n").await,
        Ending::Cut => Ok(()),
        Ending::Hang => {
            // Until the client goes away.
            while stream.read(&mut [0; 64]).await? > 0 {}
            Ok(())
        }
    }
}
