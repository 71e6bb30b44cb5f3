//! What is known of a server: its messages, its status, and whether its agent has worked since it was last told something. Pure.

use std::collections::BTreeMap;

use super::error::Cause;
use super::wire::{Event, Message, Role, Status};

/// A conversation of more messages is none.
const MESSAGES_MAX: usize = 10_000;
/// All messages together; one is bounded by the size of an event.
const BYTES_MAX: usize = 64 << 20;

/// How far the agent is with what it was told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// It has not begun, or works.
    Working,
    /// It has worked, has said something new, and rests.
    Rests,
    /// It rests without having said anything new.
    RestsSilently,
}

/// What was heard.
#[derive(Debug, Default)]
pub(super) struct View {
    messages: BTreeMap<i64, Message>,
    bytes: usize,
    status: Option<Status>,
    /// True when the agent was seen running since [`View::told`].
    ran: bool,
    /// True when a stretch of the stream was missed since then, in which it may have run.
    missed: bool,
    /// The agent's newest message before the task; everything newer belongs to the task.
    before: i64,
}

impl View {
    pub(super) fn status(&self) -> Option<Status> {
        self.status
    }

    /// The past is over here: what is newer belongs to the task.
    pub(super) fn begin(&mut self) {
        self.before = self.messages.last_key_value().map_or(i64::MIN, |(id, _)| *id);
    }

    /// The agent was told something: only what it does from now on counts.
    pub(super) fn told(&mut self) {
        (self.ran, self.missed) = (false, false);
    }

    /// The stream was lost. The next connection tells everything again, the status last.
    pub(super) fn lost(&mut self) {
        self.status = None;
        self.missed = true;
    }

    /// Takes an event; a message replaces the one of the same id. True when something is new.
    pub(super) fn take(&mut self, event: Event) -> Result<bool, Cause> {
        match event {
            Event::Message(message) => {
                self.bytes += message.content.len();
                let id = message.id;
                let old = self.messages.insert(id, message);
                self.bytes -= old.as_ref().map_or(0, |old| old.content.len());
                if self.messages.len() > MESSAGES_MAX || self.bytes > BYTES_MAX {
                    return Err(Cause::Protocol {
                        call: "GET /events",
                        reason: "the conversation is larger than anything that is read".to_owned(),
                    });
                }
                Ok(old.as_ref() != self.messages.get(&id))
            }
            Event::Status(status) => {
                self.ran |= status == Status::Running;
                Ok(self.status.replace(status) != Some(status))
            }
            Event::Fault { message, level } if level.is_empty() || level == "error" => Err(Cause::Agent(message)),
            Event::Fault { .. } => Ok(false),
        }
    }

    /// The agent's newest message, also from before the task.
    pub(super) fn last(&self) -> Option<&Message> {
        self.messages.values().rev().find(|message| message.role == Role::Agent)
    }

    /// What was said since the task began.
    pub(super) fn said(&self) -> Vec<Message> {
        self.messages.values().filter(|message| message.id > self.before).cloned().collect()
    }

    /// True when the user's side of the conversation has grown since the task began.
    pub(super) fn heard(&self) -> bool {
        self.messages.values().any(|message| message.role == Role::User && message.id > self.before)
    }

    /// The rule of the protocol: seen running, then stable, and the agent's newest message is a newer one.
    pub(super) fn progress(&self) -> Progress {
        let grown = self.last().is_some_and(|message| message.id > self.before);
        let ran = self.ran || (self.missed && grown);
        match self.status {
            Some(Status::Stable) if ran && grown => Progress::Rests,
            Some(Status::Stable) if ran => Progress::RestsSilently,
            _ => Progress::Working,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: i64, role: Role, content: &str) -> Event {
        Event::Message(Message { id, role, content: content.to_owned(), time: String::new() })
    }

    #[test]
    fn the_agent_rests_when_it_ran_and_said_something_new() {
        let mut view = View::default();
        let past = [message(0, Role::Agent, "welcome"), Event::Status(Status::Stable)];
        for event in past {
            assert!(view.take(event).unwrap());
        }
        view.begin();
        view.told();
        let mut check = |event, new, expected| {
            assert_eq!(view.take(event).unwrap(), new);
            assert_eq!(view.progress(), expected);
        };
        check(message(0, Role::Agent, "welcome"), false, Progress::Working);
        check(Event::Status(Status::Stable), false, Progress::Working);
        check(message(1, Role::User, "do it"), true, Progress::Working);
        check(Event::Status(Status::Running), true, Progress::Working);
        check(Event::Status(Status::Stable), true, Progress::RestsSilently);
        check(Event::Status(Status::Running), true, Progress::Working);
        check(message(2, Role::Agent, "d"), true, Progress::Working);
        check(message(2, Role::Agent, "done"), true, Progress::Working);
        check(Event::Status(Status::Stable), true, Progress::Rests);
        assert_eq!(view.said().len(), 2);
        assert_eq!(view.last().unwrap().content, "done");
    }

    #[test]
    fn what_was_missed_counts_as_run_only_with_something_new() {
        let mut view = View::default();
        view.begin();
        view.told();
        view.lost();
        view.take(Event::Status(Status::Stable)).unwrap();
        assert_eq!(view.progress(), Progress::Working);
        view.take(message(3, Role::Agent, "new")).unwrap();
        assert_eq!(view.progress(), Progress::Rests);
    }

    #[test]
    fn faults_end_and_warnings_do_not() {
        let fault = |level: &str| Event::Fault { message: "gone".to_owned(), level: level.to_owned() };
        assert_eq!(View::default().take(fault("error")), Err(Cause::Agent("gone".to_owned())));
        assert_eq!(View::default().take(fault("warning")), Ok(false));
    }

    #[test]
    fn endless_conversations_are_refused() {
        let mut view = View::default();
        let mut ids = 0..=i64::try_from(MESSAGES_MAX).unwrap();
        assert!(ids.any(|id| view.take(message(id, Role::User, "")).is_err()));
    }
}
