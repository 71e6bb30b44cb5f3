//! Logs on stderr. Called once, by `main`.

use tracing_subscriber::EnvFilter;

/// How much is logged and in what form.
#[derive(Debug, Clone)]
pub struct Logging {
    /// 0: warnings; 1: info; 2: debug; more: trace.
    pub verbosity: u8,
    /// Directives as in `specwave=debug,sqlx=warn`; they override the verbosity.
    pub directives: Option<String>,
    /// True: one JSON object a line.
    pub json: bool,
}

/// Sends events to stderr.
pub fn install(logging: &Logging) {
    // genai logs whole answers of providers, which may repeat a key; what matters of them is in the errors that it returns.
    let level = match logging.verbosity {
        0 => "warn,sqlx=error,genai=off",
        1 => "specwave=info,warn,genai=off",
        2 => "specwave=debug,info,genai=off",
        _ => "trace,genai=off",
    };
    let filter = EnvFilter::new(logging.directives.as_deref().unwrap_or(level));
    let coloured = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(coloured).with_target(false);
    let installed = if logging.json { subscriber.json().try_init() } else { subscriber.compact().without_time().try_init() };
    if let Err(error) = installed {
        anstream::eprintln!("warning: logs go to an earlier subscriber: {error}");
    }
}
