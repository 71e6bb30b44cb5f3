//! A profile's settings of a command, as people write them.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::settings::{CommandSettings, Preset, PromptBy, SettingsError};
use crate::agents::llm::prices::micros;
use crate::exec::egress::PatternError;
use crate::exec::{Confinement, Level};

/// The most that a time may be: a unit that takes a day is too large.
const SECS_MAX: u64 = 86_400;

/// What a profile of kind `command` may say; what it leaves out has a default.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandForm {
    /// `claude`, `codex`, `aider` or `any`.
    pub preset: Preset,
    /// The program and its first arguments.
    #[serde(default)]
    pub program: Vec<String>,
    /// `stdin` or `argument`.
    pub prompt: Option<PromptBy>,
    /// The model; none is the program's own choice.
    pub model: Option<String>,
    /// More arguments.
    #[serde(default)]
    pub extra: Vec<String>,
    /// Variables of specwave's own environment that it is given.
    #[serde(default)]
    pub pass: Vec<String>,
    /// Hosts that it may connect to, as `api.example.com`, `*.example.com` or `example.com:8443`; none: no network.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// The level of the sandbox that it needs: `landlock`, `seccomp` or `bubblewrap`; `none` lets it run unconfined.
    pub sandbox: Option<Level>,
    /// Files and directories outside the system's that it must read.
    #[serde(default)]
    pub readable: Vec<PathBuf>,
    /// How often it may turn to its model.
    pub turns_max: Option<u32>,
    /// How long it may say nothing, in seconds.
    pub stall_secs: Option<u64>,
    /// How long it may take, in seconds.
    pub deadline_secs: Option<u64>,
    /// Tokens, in and out, that one try may use.
    pub tokens_max: Option<u64>,
    /// Money that one try may use, as `2.50`; needed where a budget limits money.
    pub cost_max: Option<String>,
}

impl CommandForm {
    /// The settings that it stands for.
    pub fn settings(self) -> Result<CommandSettings, SettingsError> {
        let mut settings = CommandSettings::new(self.preset);
        if !self.program.is_empty() {
            settings.program = self.program;
        }
        settings.prompt = self.prompt.unwrap_or(settings.prompt);
        settings.stall = seconds("stall timeout", self.stall_secs, settings.stall)?;
        settings.deadline = seconds("deadline", self.deadline_secs, settings.deadline)?;
        settings.tokens_max = self.tokens_max.unwrap_or(settings.tokens_max);
        settings.cost_max_micros = match self.cost_max {
            None => None,
            Some(text) => Some(micros(&text).ok_or(SettingsError::Money(text))?),
        };
        settings.model = self.model;
        settings.extra = self.extra;
        settings.pass = self.pass;
        let host = |text: &String| text.parse().map_err(|error: PatternError| SettingsError::Host(error.to_string()));
        settings.hosts = self.hosts.iter().map(host).collect::<Result<_, _>>()?;
        settings.confinement = match self.sandbox {
            None => settings.confinement,
            Some(Level::None) => Confinement::Off,
            Some(level) => Confinement::Required(level),
        };
        settings.readable = self.readable;
        settings.turns_max = self.turns_max;
        settings.check()?;
        Ok(settings)
    }
}

fn seconds(name: &'static str, wanted: Option<u64>, otherwise: Duration) -> Result<Duration, SettingsError> {
    match wanted {
        Some(0) => Err(SettingsError::Zero(name)),
        Some(secs) if secs > SECS_MAX => Err(SettingsError::TooLong { name, limit: SECS_MAX }),
        Some(secs) => Ok(Duration::from_secs(secs)),
        None => Ok(otherwise),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<CommandSettings, String> {
        let form: CommandForm = toml::from_str(text).map_err(|error| error.to_string())?;
        form.settings().map_err(|error| error.to_string())
    }

    #[test]
    fn a_preset_needs_nothing_more() {
        assert_eq!(read("preset = \"claude\"").unwrap(), CommandSettings::new(Preset::Claude));
    }

    #[test]
    fn everything_can_be_said() {
        let text = "preset = \"any\"\nprogram = [\"mine\", \"--go\"]\nprompt = \"argument\"\nmodel = \"m\"\nextra = [\"-v\"]\n\
                    pass = [\"KEY\"]\nhosts = [\"api.example.com\"]\nsandbox = \"landlock\"\nreadable = [\"/opt/mine\"]\nturns_max = 9\nstall_secs = 5\ndeadline_secs = 60\n\
                    tokens_max = 1000\ncost_max = \"2.50\"";
        let settings = read(text).unwrap();
        let expected = CommandSettings {
            program: vec!["mine".to_owned(), "--go".to_owned()],
            prompt: PromptBy::Argument,
            model: Some("m".to_owned()),
            extra: vec!["-v".to_owned()],
            pass: vec!["KEY".to_owned()],
            hosts: vec!["api.example.com".parse().unwrap()],
            confinement: Confinement::Required(Level::Landlock),
            readable: vec![PathBuf::from("/opt/mine")],
            turns_max: Some(9),
            stall: Duration::from_secs(5),
            deadline: Duration::from_mins(1),
            tokens_max: 1_000,
            cost_max_micros: Some(2_500_000),
            ..CommandSettings::new(Preset::Any)
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn a_program_runs_unconfined_only_when_that_is_said() {
        assert_eq!(read("preset = \"claude\"").unwrap().confinement, Confinement::Required(Level::Seccomp));
        assert_eq!(read("preset = \"claude\"\nsandbox = \"none\"").unwrap().confinement, Confinement::Off);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let check = |text: &str, expected: &str| {
            let problem = read(text).expect_err(text);
            assert!(problem.contains(expected), "{problem}");
        };
        check("preset = \"any\"", "has no program");
        check("preset = \"gpt\"", "unknown variant `gpt`");
        check("preset = \"claude\"\nstal_secs = 1", "unknown field `stal_secs`");
        check("preset = \"claude\"\nstall_secs = 0", "stall timeout is zero");
        check("preset = \"claude\"\ndeadline_secs = 90000", "at most 86400 s");
        check("preset = \"claude\"\ncost_max = \"much\"", "\"much\" is no amount of money");
        check("preset = \"claude\"\nhosts = [\"a b\"]", "a b");
        check("preset = \"claude\"\nsandbox = \"strong\"", "unknown variant `strong`");
        check("preset = \"claude\"\npass = [\"A B\"]", "no name of an environment variable");
    }
}
