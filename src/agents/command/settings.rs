//! Which program works, with which arguments, and how much it may take.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use crate::exec::egress::HostPattern;
use crate::exec::{Confinement, Level, Limits};

/// One argument of a command line may not be longer (Linux: 128 KiB); prompts beyond it go another way.
const ARGUMENT_BYTES_MAX: usize = 120 << 10;
/// More than a unit of the largest size should need.
const TOKENS_MAX: u64 = 2_000_000;
/// No prompt is longer: contexts are bounded far below.
const PROMPT_BYTES_MAX: usize = 4 << 20;

/// The programs whose command line and output are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Claude Code.
    Claude,
    /// Codex.
    Codex,
    /// aider.
    Aider,
    /// Any other: the prompt on its standard input, files in the work tree, an exit code.
    Any,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 4] = [Self::Claude, Self::Codex, Self::Aider, Self::Any];

    /// The text in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::Aider => "aider",
            Self::Any => "any",
        }
    }
}

/// How the prompt comes to the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptBy {
    /// As an argument: other users of the machine can see it, and it must not be long.
    Argument,
    /// On its standard input, or, where it does not read that, in a file whose path is an argument.
    Stdin,
}

/// How a program is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandSettings {
    /// Which one.
    pub preset: Preset,
    /// The program and its first arguments; for the known ones only the program. `{prompt}` in an argument of any other stands for the
    /// prompt, `{prompt_file}` for a file that holds it, `{model}` for the model.
    pub program: Vec<String>,
    /// How the prompt comes to it.
    pub prompt: PromptBy,
    /// The model; none is the program's own choice.
    pub model: Option<String>,
    /// More arguments.
    pub extra: Vec<String>,
    /// Names of environment variables that it gets from specwave's own environment: keys, for example.
    pub pass: Vec<String>,
    /// Hosts that it may connect to; none: it has no network.
    pub hosts: Vec<HostPattern>,
    /// How well it must be confined.
    pub confinement: Confinement,
    /// Files and directories outside the system's that it must read: where it is installed.
    pub readable: Vec<PathBuf>,
    /// How often it may turn to its model, where it can be told.
    pub turns_max: Option<u32>,
    /// How long it may say nothing.
    pub stall: Duration,
    /// How long it may take.
    pub deadline: Duration,
    /// Tokens, in and out, that one try may use; it is ended when it has told of more.
    pub tokens_max: u64,
    /// Money that one try may use, in millionths; none where no budget limits money.
    pub cost_max_micros: Option<u64>,
    /// What else it may use. Its `wall` does not count, `deadline` does.
    pub limits: Limits,
}

/// Settings that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// There is nothing to run.
    #[error("the agent {0} has no program\n  hint: name the program and its arguments")]
    NoProgram(&'static str),
    /// A number is zero.
    #[error("the agent's {0} is zero\n  hint: give it some time")]
    Zero(&'static str),
    /// A time is too long.
    #[error("the agent's {name} is too long, at most {limit} s")]
    TooLong {
        /// Which time.
        name: &'static str,
        /// How long it may be.
        limit: u64,
    },
    /// It is no host.
    #[error("{0}")]
    Host(String),
    /// It is no amount of money.
    #[error("{0:?} is no amount of money\n  hint: write it as 2.50")]
    Money(String),
    /// It is no name of an environment variable.
    #[error("{0:?} is no name of an environment variable\n  hint: use letters, digits and _")]
    Variable(String),
    /// The prompt does not fit.
    #[error(
        "the prompt has {bytes} bytes, more than the {limit} that fit\n  hint: pass the prompt on standard input, or ask for a smaller context"
    )]
    Prompt {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
}

impl CommandSettings {
    /// The defaults for a program.
    pub fn new(preset: Preset) -> Self {
        let program = match preset {
            Preset::Any => Vec::new(),
            known => vec![known.as_str().to_owned()],
        };
        Self {
            preset,
            program,
            prompt: PromptBy::Stdin,
            model: None,
            extra: Vec::new(),
            pass: Vec::new(),
            hosts: Vec::new(),
            confinement: Confinement::Required(Level::Seccomp),
            readable: Vec::new(),
            turns_max: None,
            stall: Duration::from_mins(5),
            deadline: Duration::from_mins(30),
            tokens_max: TOKENS_MAX,
            cost_max_micros: None,
            limits: Limits { cpu_secs: 3_600, output_bytes: 64 << 10, ..Limits::default() },
        }
    }

    /// The values of the variables that are passed through; `look_up` is the only door to them. Those that are not set are left out.
    pub fn environment(&self, look_up: impl Fn(&str) -> Option<String>) -> BTreeMap<String, String> {
        self.pass.iter().filter_map(|name| Some((name.clone(), look_up(name)?))).collect()
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        if self.program.first().is_none_or(String::is_empty) {
            return Err(SettingsError::NoProgram(self.preset.as_str()));
        }
        for (name, time) in [("stall timeout", self.stall), ("deadline", self.deadline)] {
            if time.is_zero() {
                return Err(SettingsError::Zero(name));
            }
        }
        let named = |name: &&String| {
            !name.is_empty()
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
        };
        match self.pass.iter().find(|name| !named(name)) {
            Some(wrong) => Err(SettingsError::Variable(wrong.clone())),
            None => Ok(()),
        }
    }

    /// What results depend on.
    pub(super) fn version(&self) -> String {
        let model = self.model.as_deref().unwrap_or("default");
        let turns = self.turns_max.map_or_else(|| "any".to_owned(), |turns| turns.to_string());
        format!("{} {} model {model} turns {turns} {}", self.preset.as_str(), self.program.join(" "), self.extra.join(" "))
    }

    /// The command line, and whether the file with the prompt is to be its standard input.
    pub(super) fn command_line(&self, prompt: &str, prompt_file: &str) -> Result<(Vec<String>, bool), SettingsError> {
        let limit = if self.prompt == PromptBy::Argument { ARGUMENT_BYTES_MAX } else { PROMPT_BYTES_MAX };
        if prompt.len() > limit {
            return Err(SettingsError::Prompt { bytes: prompt.len(), limit });
        }
        let mut line = Line { words: self.program.clone() };
        let as_argument = self.prompt == PromptBy::Argument;
        let input = match self.preset {
            Preset::Claude => {
                line.add(["-p", "--output-format", "stream-json", "--verbose", "--permission-mode", "acceptEdits"]);
                line.option("--model", self.model.as_deref());
                line.option("--max-turns", self.turns_max.map(|turns| turns.to_string()).as_deref());
                line.add(self.extra.iter().map(String::as_str));
                // After `--`, a prompt that starts with a dash is no option.
                line.add(if as_argument { vec!["--", prompt] } else { Vec::new() });
                !as_argument
            }
            Preset::Codex => {
                // The work tree is no repository of git, and specwave's sandbox is around codex's own.
                line.add(["exec", "--json", "--skip-git-repo-check", "--sandbox", "workspace-write"]);
                line.option("--model", self.model.as_deref());
                line.add(self.extra.iter().map(String::as_str));
                line.add(if as_argument { vec!["--", prompt] } else { vec!["-"] });
                !as_argument
            }
            Preset::Aider => {
                line.add(["--yes-always", "--no-git", "--no-pretty", "--no-stream", "--no-check-update", "--no-show-release-notes"]);
                line.add(["--analytics-disable", "--no-suggest-shell-commands", "--no-detect-urls"]);
                line.option("--model", self.model.as_deref());
                line.add(self.extra.iter().map(String::as_str));
                line.words.push(if as_argument { format!("--message={prompt}") } else { format!("--message-file={prompt_file}") });
                false
            }
            Preset::Any => {
                let model = self.model.as_deref().unwrap_or_default();
                line.add(self.extra.iter().map(String::as_str));
                let mut named = false;
                for word in &mut line.words {
                    named |= word.contains("{prompt}") || word.contains("{prompt_file}");
                    *word = filled(word, &[("{prompt_file}", prompt_file), ("{prompt}", prompt), ("{model}", model)]);
                }
                if as_argument && !named {
                    line.add([prompt]);
                }
                !as_argument && !named
            }
        };
        Ok((line.words, input))
    }
}

/// Placeholders replaced in one pass, so that a prompt may hold what looks like one.
fn filled(word: &str, values: &[(&str, &str)]) -> String {
    let (mut done, mut rest) = (String::new(), word);
    while let Some((at, (name, value))) = values.iter().filter_map(|value| Some((rest.find(value.0)?, value))).min_by_key(|(at, _)| *at) {
        done.push_str(&rest[..at]);
        done.push_str(value);
        rest = &rest[at + name.len()..];
    }
    done + rest
}

struct Line {
    words: Vec<String>,
}

impl Line {
    fn add<'a>(&mut self, words: impl IntoIterator<Item = &'a str>) {
        self.words.extend(words.into_iter().map(str::to_owned));
    }

    fn option(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.add([name, value]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(settings: &CommandSettings, expected: &str, input: bool) {
        let (words, by_input) = settings.command_line("do {model} it", "/p").unwrap();
        assert_eq!((words.join("|").as_str(), by_input), (expected, input));
    }

    #[test]
    fn the_documented_command_lines_are_built() {
        let mut claude = CommandSettings::new(Preset::Claude);
        let known = "claude|-p|--output-format|stream-json|--verbose|--permission-mode|acceptEdits";
        check(&claude, known, true);
        claude.model = Some("opus".to_owned());
        claude.turns_max = Some(9);
        claude.extra = vec!["--allowedTools".to_owned(), "Edit".to_owned()];
        claude.prompt = PromptBy::Argument;
        check(&claude, &format!("{known}|--model|opus|--max-turns|9|--allowedTools|Edit|--|do {{model}} it"), false);
        let mut codex = CommandSettings::new(Preset::Codex);
        check(&codex, "codex|exec|--json|--skip-git-repo-check|--sandbox|workspace-write|-", true);
        codex.prompt = PromptBy::Argument;
        codex.model = Some("gpt-5".to_owned());
        check(&codex, "codex|exec|--json|--skip-git-repo-check|--sandbox|workspace-write|--model|gpt-5|--|do {model} it", false);
        let mut aider = CommandSettings::new(Preset::Aider);
        let known = "aider|--yes-always|--no-git|--no-pretty|--no-stream|--no-check-update|--no-show-release-notes\
                     |--analytics-disable|--no-suggest-shell-commands|--no-detect-urls";
        check(&aider, &format!("{known}|--message-file=/p"), false);
        aider.prompt = PromptBy::Argument;
        check(&aider, &format!("{known}|--message=do {{model}} it"), false);
    }

    #[test]
    fn any_other_program_has_a_template() {
        let mut any = CommandSettings::new(Preset::Any);
        any.program = ["mine", "--model={model}"].map(str::to_owned).to_vec();
        any.model = Some("m".to_owned());
        check(&any, "mine|--model=m", true);
        any.prompt = PromptBy::Argument;
        check(&any, "mine|--model=m|do {model} it", false);
        any.program = ["mine", "-f", "{prompt_file}", "--say={prompt}!"].map(str::to_owned).to_vec();
        check(&any, "mine|-f|/p|--say=do {model} it!", false);
        any.prompt = PromptBy::Stdin;
        check(&any, "mine|-f|/p|--say=do {model} it!", false);
    }

    #[test]
    fn settings_that_cannot_be_are_refused() {
        let good = CommandSettings::new(Preset::Claude);
        assert_eq!(good.check(), Ok(()));
        assert_eq!(CommandSettings::new(Preset::Any).check(), Err(SettingsError::NoProgram("any")));
        assert_eq!(CommandSettings { stall: Duration::ZERO, ..good.clone() }.check(), Err(SettingsError::Zero("stall timeout")));
        assert_eq!(CommandSettings { deadline: Duration::ZERO, ..good.clone() }.check(), Err(SettingsError::Zero("deadline")));
        for wrong in ["", "A B", "1A", "A=1", "Ä"] {
            let settings = CommandSettings { pass: vec![wrong.to_owned()], ..good.clone() };
            assert_eq!(settings.check(), Err(SettingsError::Variable(wrong.to_owned())));
        }
        let argument = CommandSettings { prompt: PromptBy::Argument, ..good.clone() };
        let long = "x".repeat(ARGUMENT_BYTES_MAX + 1);
        assert!(good.command_line(&long, "/p").is_ok());
        assert!(matches!(argument.command_line(&long, "/p"), Err(SettingsError::Prompt { .. })));
        assert!(matches!(good.command_line(&"x".repeat(PROMPT_BYTES_MAX + 1), "/p"), Err(SettingsError::Prompt { .. })));
    }

    #[test]
    fn only_named_variables_that_are_set_are_passed_through() {
        let settings = CommandSettings { pass: vec!["A".to_owned(), "B".to_owned()], ..CommandSettings::new(Preset::Claude) };
        let found = settings.environment(|name| (name == "A").then(|| "1".to_owned()));
        assert_eq!(found, BTreeMap::from([("A".to_owned(), "1".to_owned())]));
    }
}
