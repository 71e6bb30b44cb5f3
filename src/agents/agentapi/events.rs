//! The stream of events, one after the other. On every connection the server tells all past messages, then the status, then what is new.

use std::collections::VecDeque;

use reqwest::Response;
use serde::de::DeserializeOwned;

use super::error::Cause;
use super::frames::{Frame, FrameError, Frames};
use super::wire::{Event, FaultBody, StatusBody};

const CALL: &str = "GET /events";

/// An open stream.
#[derive(Debug)]
pub struct Events {
    response: Response,
    frames: Frames,
    ready: VecDeque<Event>,
}

impl Events {
    pub(super) fn new(response: Response) -> Self {
        Self { response, frames: Frames::default(), ready: VecDeque::new() }
    }

    /// The next event; none when the server has ended the stream. Cancel safe. Waits without a limit: a silent stream is no broken one.
    pub async fn next(&mut self) -> Result<Option<Event>, Cause> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let piece = self.response.chunk().await.map_err(|error| Cause::Unreachable { call: CALL, reason: error.to_string() })?;
            let Some(piece) = piece else { return Ok(None) };
            let whole = self.frames.push(&piece).map_err(|error| {
                protocol(match error {
                    FrameError::TooLarge => "an event is larger than anything that is read",
                    FrameError::NoText => "an event is no text",
                })
            })?;
            for frame in whole {
                self.ready.extend(event(&frame)?);
            }
        }
    }
}

/// None for kinds of events that a later version may have.
fn event(frame: &Frame) -> Result<Option<Event>, Cause> {
    Ok(Some(match frame.event.as_str() {
        "message_update" => Event::Message(parse(frame)?),
        "status_change" => Event::Status(parse::<StatusBody>(frame)?.status),
        "agent_error" => {
            let FaultBody { message, level } = parse(frame)?;
            Event::Fault { message, level }
        }
        _ => return Ok(None),
    }))
}

fn parse<T: DeserializeOwned>(frame: &Frame) -> Result<T, Cause> {
    serde_json::from_str(&frame.data).map_err(|error| protocol(&format!("the event {} cannot be read: {error}", frame.event)))
}

fn protocol(reason: &str) -> Cause {
    Cause::Protocol { call: CALL, reason: reason.to_owned() }
}
