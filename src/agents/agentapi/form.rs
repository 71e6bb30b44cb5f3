//! A profile's settings of an agent behind a server, as people write them.

use std::time::Duration;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use super::{AgentApiSettings, PromptRule};
use crate::agents::llm::prices::micros;

/// A unit that takes a day is too large.
const SECS_MAX: u64 = 86_400;
/// Questions that are answered; agents ask fewer.
const PROMPTS_MAX: usize = 50;
/// The compiled form of one pattern.
const PATTERN_BYTES_MAX: usize = 256 << 10;
/// What one try may use when nothing is said: the protocol tells no use, so all of it counts.
const TOKENS_MAX: u64 = 2_000_000;
/// How long a try may take when nothing is said.
const DEADLINE: Duration = Duration::from_mins(30);

/// What a profile of kind `agentapi` may say.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentApiForm {
    /// Where the server is: `http://127.0.0.1:3284`.
    pub base_url: String,
    /// True when it may be on another machine, which must see the data directory under the same path.
    #[serde(default)]
    pub remote: bool,
    /// Questions of the agent, and the keystrokes that answer them.
    #[serde(default)]
    pub prompts: Vec<Answered>,
    /// How long a try may take, in seconds.
    pub deadline_secs: Option<u64>,
    /// How long the agent must rest before it counts as done, in seconds.
    pub settle_secs: Option<u64>,
    /// Tokens that one try is taken to use.
    pub tokens_max: Option<u64>,
    /// Money that one try is taken to use, as `2.50`; needed where a budget limits money.
    pub cost_max: Option<String>,
}

/// A question with its answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answered {
    /// A regular expression, looked for in each of the last lines that the agent shows.
    pub pattern: String,
    /// What is typed: `1\r`, `y\n`.
    pub answer: String,
}

/// What is made of it.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// How the server is spoken to.
    pub settings: AgentApiSettings,
    /// How long a try may take.
    pub deadline: Duration,
    /// Tokens that one try is taken to use.
    pub tokens_max: u64,
    /// The same of money, in millionths.
    pub cost_max_micros: Option<u64>,
}

impl AgentApiForm {
    /// What it stands for, or what is wrong with it.
    pub fn wanted(&self) -> Result<Wanted, String> {
        let mut settings = AgentApiSettings::new(&self.base_url);
        settings.remote = self.remote;
        if let Some(settle) = seconds("settle_secs", self.settle_secs)? {
            settings.settle = settle;
        }
        if self.prompts.len() > PROMPTS_MAX {
            return Err(format!("it answers {} questions, at most {PROMPTS_MAX} are", self.prompts.len()));
        }
        let mut rules = self.prompts.iter().map(Answered::rule).collect::<Result<Vec<_>, _>>()?;
        rules.append(&mut settings.prompts);
        settings.prompts = rules;
        let cost_max_micros = match &self.cost_max {
            None => None,
            Some(text) => Some(micros(text).ok_or_else(|| format!("{text:?} is no amount of money; write it as 2.50"))?),
        };
        let deadline = seconds("deadline_secs", self.deadline_secs)?.unwrap_or(DEADLINE);
        Ok(Wanted { settings, deadline, tokens_max: self.tokens_max.unwrap_or(TOKENS_MAX), cost_max_micros })
    }
}

impl Answered {
    fn rule(&self) -> Result<PromptRule, String> {
        let pattern: Regex = RegexBuilder::new(&self.pattern)
            .size_limit(PATTERN_BYTES_MAX)
            .build()
            .map_err(|error| format!("{:?} is no pattern: {error}", self.pattern))?;
        Ok(PromptRule { pattern, answer: Some(self.answer.clone()) })
    }
}

fn seconds(name: &str, secs: Option<u64>) -> Result<Option<Duration>, String> {
    match secs {
        Some(secs) if secs == 0 || secs > SECS_MAX => Err(format!("{name} is {secs}, it must be from 1 to {SECS_MAX}")),
        secs => Ok(secs.map(Duration::from_secs)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Wanted, String> {
        toml::from_str::<AgentApiForm>(text).map_err(|error| error.to_string())?.wanted()
    }

    #[test]
    fn an_address_is_enough_and_answers_go_before_the_usual_questions() {
        let usual = PromptRule::usual().len();
        let plain = read("base_url = \"http://127.0.0.1:3284\"").unwrap();
        assert_eq!((plain.settings.prompts.len(), plain.deadline, plain.cost_max_micros), (usual, DEADLINE, None));
        let text =
            "base_url = \"http://127.0.0.1:3284\"\nsettle_secs = 1\ncost_max = \"1.5\"\n[[prompts]]\npattern = \"Trust\"\nanswer = \"1\"";
        let answering = read(text).unwrap();
        let rule = &answering.settings.prompts[0];
        assert_eq!((rule.pattern.as_str(), rule.answer.as_deref()), ("Trust", Some("1")));
        assert_eq!((answering.settings.settle, answering.cost_max_micros), (Duration::from_secs(1), Some(1_500_000)));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let check = |text: &str, expected: &str| {
            let problem = read(&format!("base_url = \"http://127.0.0.1:3284\"\n{text}")).expect_err(text);
            assert!(problem.contains(expected), "{problem}");
        };
        check("deadline_secs = 0", "deadline_secs is 0");
        check("cost_max = \"x\"", "no amount of money");
        check("url = 1", "unknown field `url`");
        check("[[prompts]]\npattern = \"(\"\nanswer = \"\"", "is no pattern");
    }
}
