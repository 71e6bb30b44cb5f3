//! What agents tell while they work, passed on to whoever follows the run: at most once a second for a unit, cut, and without secrets.
//!
//! The last that was told is kept beside the unit, and each of it is announced among the events of the run. Nothing is written for units
//! whose agents tell nothing, as generators do.

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::watch;

use super::unit::Shared;
use crate::agents::listener::{Listener, News};
use crate::engine::Claim;
use crate::exec::capture::shorten;
use crate::model::{EventKind, Task};
use crate::redact::redact;
use crate::store::postgres::StoreError;
use crate::store::postgres::progress::{self, Told};

/// How often something is passed on. What is told in between is passed over, except for the last of it.
const PASSED_ON_EVERY: Duration = Duration::from_secs(1);
/// Characters of a step.
const STEP_CHARS_MAX: usize = 300;
/// Characters of a session's name.
const SESSION_CHARS_MAX: usize = 200;
/// Of what an agent tells at once so much is looked at: searching for secrets takes time.
const LOOKED_AT_BYTES_MAX: usize = 4_000;

/// What one agent has told so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard {
    news: News,
    /// How often it told of a step.
    steps: u64,
}

/// The side that an agent speaks to.
pub(super) struct Ear(watch::Sender<Heard>);

impl Ear {
    /// Both sides.
    pub(super) fn new() -> (Self, watch::Receiver<Heard>) {
        let (sender, receiver) = watch::channel(Heard::default());
        (Self(sender), receiver)
    }
}

impl Listener for Ear {
    fn tell(&self, news: News) {
        self.0.send_modify(|heard| {
            let News { agent, session, step, tokens } = news;
            heard.steps += u64::from(!step.is_empty());
            heard.news.agent = agent;
            heard.news.session = session.or(heard.news.session.take());
            heard.news.tokens = tokens.max(heard.news.tokens);
            if !step.is_empty() {
                heard.news.step = step;
            }
        });
    }
}

/// Passes on what is heard, until it is dropped with the try. A database that is away misses some of it, which does no harm.
pub(super) async fn pass_on(shared: &Shared, unit: &Task, claim: &Claim, mut heard: watch::Receiver<Heard>) -> Infallible {
    loop {
        if heard.changed().await.is_err() {
            // Nobody speaks any more; what is left is the judgement.
            std::future::pending::<()>().await;
        }
        let told = told(&heard.borrow_and_update());
        if let Err(error) = keep(shared, claim, &told).await {
            tracing::debug!(unit = unit.key, %error, "what an agent told could not be passed on");
        }
        let Told { agent, session, step, tokens, .. } = told;
        shared.run.events.send(EventKind::UnitProgress { key: unit.key.clone(), agent, session, step, tokens }).await;
        tokio::time::sleep(PASSED_ON_EVERY).await;
    }
}

async fn keep(shared: &Shared, claim: &Claim, told: &Told) -> Result<(), StoreError> {
    let mut tx = shared.run.tx().await?;
    progress::tell(&mut tx, claim, told).await?;
    tx.commit().await
}

/// In a form that can be shown: one line, without what moves a terminal's cursor.
fn told(heard: &Heard) -> Told {
    let News { agent, session, step, tokens } = &heard.news;
    Told {
        agent: agent.clone(),
        session: session.as_deref().map(|session| line(session, SESSION_CHARS_MAX)),
        step: line(step, STEP_CHARS_MAX),
        steps: heard.steps,
        tokens: *tokens,
    }
}

fn line(text: &str, chars_max: usize) -> String {
    let end = (0..=text.len().min(LOOKED_AT_BYTES_MAX)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let text = redact(&text[..end]);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ").replace(char::is_control, "\u{fffd}");
    shorten(&text, chars_max).replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::{Bench, ORGANIZATION, plan};
    use crate::store::postgres::testing as database;

    #[test]
    fn what_is_told_becomes_one_clean_line_and_what_was_known_stays_known() {
        let (ear, heard) = Ear::new();
        let tell = |session: Option<&str>, step: &str, tokens| {
            ear.tell(News { agent: "claude".to_owned(), session: session.map(str::to_owned), step: step.to_owned(), tokens });
        };
        tell(Some("s-1"), "began", Some(10));
        tell(None, "runs\n\u{1b}[2J  tests with token=abc123", None);
        tell(None, "", Some(7));
        let now = told(&heard.borrow());
        let expect = Told {
            agent: "claude".to_owned(),
            session: Some("s-1".to_owned()),
            step: "runs \u{fffd}[2J tests with token=[redacted]".to_owned(),
            steps: 2,
            tokens: Some(10),
        };
        assert_eq!(now, expect);
        tell(None, &"é".repeat(10_000), None);
        let long = told(&heard.borrow()).step;
        assert!(long.chars().count() < STEP_CHARS_MAX + 60 && !long.contains('\n'), "{long}");
    }

    #[tokio::test]
    async fn the_last_that_was_told_is_kept_while_the_claim_holds_and_seen_by_its_organization_alone() {
        let bench = Bench::new(&plan(&[("a", 1)], &[])).await;
        let store = bench.engine.store();
        let first = bench.claim_one().await.claim;
        let say = async |claim: &Claim, step: &str, steps: u64| {
            let session = Some("s-1\0".to_owned());
            let told = Told { agent: "claude".to_owned(), session, step: step.to_owned(), steps, tokens: Some(steps * 10) };
            let mut tx = store.tenant(ORGANIZATION).await.unwrap();
            progress::tell(&mut tx, claim, &told).await.unwrap();
            tx.commit().await.unwrap();
        };
        let shown = async |organization| {
            let mut tx = store.tenant(organization).await.unwrap();
            let rows = progress::of_run(&mut tx, bench.run).await.unwrap();
            rows.into_iter().map(|row| format!("{} {} {:?}", row.key, row.told.step, row.told.tokens)).collect::<Vec<_>>()
        };
        say(&first, "reads", 1).await;
        say(&first, "writes", 2).await;
        assert_eq!(shown(ORGANIZATION).await, ["a writes Some(20)"]);
        assert_eq!(shown(database::other_organization(store).await).await, Vec::<String>::new());
        bench.expire_leases().await;
        bench.engine.sweep().await.unwrap();
        let second = bench.claim_one().await.claim;
        assert_eq!(shown(ORGANIZATION).await, Vec::<String>::new(), "who works now has told nothing yet");
        say(&second, "begins anew", 1).await;
        say(&first, "writes on", 3).await;
        assert_eq!(shown(ORGANIZATION).await, ["a begins anew Some(10)"], "who has lost its claim is not heard");
    }
}
