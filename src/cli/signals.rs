//! Ctrl-C and SIGTERM, for the commands that work until they are done or told to stop.

use tokio_util::sync::CancellationToken;

use super::failure::CANCELLED;

/// The first Ctrl-C or SIGTERM asks to stop; the second ends the process at once, which loses nothing.
pub fn stop_on_signals() -> CancellationToken {
    let stop = CancellationToken::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        for round in 0.. {
            signal().await;
            if round > 0 {
                std::process::exit(i32::from(CANCELLED));
            }
            anstream::eprintln!("stopping: running units get a moment to finish; once more ends at once");
            asked.cancel();
        }
    });
    stop
}

async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        },
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}
