//! How long a connection is waited for before the rest is left to the background.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::realtime::ConnectionState;

/// At most.
const PATIENCE: Duration = Duration::from_secs(10);
/// Once a connection did not come about: the next try may succeed.
const OFFLINE_PATIENCE: Duration = Duration::from_secs(2);

/// Waits until a connection is up, closed, or has had time enough.
pub(crate) async fn settled(connection: &mut watch::Receiver<ConnectionState>) {
    let tried = async {
        let began = |state: &ConnectionState| *state != ConnectionState::Connecting;
        let stands = connection.wait_for(began).await.map(|state| *state);
        if stands.is_ok_and(|state| state == ConnectionState::Offline) {
            let ended = |state: &ConnectionState| *state != ConnectionState::Offline;
            let _goes_on = timeout(OFFLINE_PATIENCE, connection.wait_for(ended)).await;
        }
    };
    let _goes_on = timeout(PATIENCE, tried).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{Instant, sleep};

    /// How long a connection is waited for that stands so after each of these times, in seconds.
    async fn waited(course: &'static [(u64, ConnectionState)]) -> Duration {
        let (sender, mut watched) = watch::channel(ConnectionState::Connecting);
        let began = Instant::now();
        let connection = tokio::spawn(async move {
            for (after, state) in course {
                sleep(Duration::from_secs(*after)).await;
                sender.send_replace(*state);
            }
            sender.closed().await;
        });
        settled(&mut watched).await;
        connection.abort();
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn ten_seconds_at_most_and_two_after_a_failure() {
        use ConnectionState::{Closed, Connected, Offline};
        let courses: [(&'static [(u64, ConnectionState)], u64); 6] = [
            (&[], 10),
            (&[(3, Connected)], 3),
            (&[(3, Closed)], 3),
            (&[(1, Offline)], 3),
            (&[(1, Offline), (1, Connected)], 2),
            (&[(9, Offline)], 10),
        ];
        for (course, seconds) in courses {
            assert_eq!(waited(course).await.as_secs(), seconds, "{course:?}");
        }
    }
}
