//! When the process is asked to end: the first signal drains, the second kills.

use tokio::signal::unix::{SignalKind, signal};

/// Waits for the first signal, and arms the second: it ends the process at once.
pub async fn asked_to_end() -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::warn!("a second signal: ending without waiting");
        std::process::exit(130);
    });
    Ok(())
}
