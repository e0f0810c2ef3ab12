//! The connection that hears of control entries: LISTEN, with a look every second for what a
//! notification that was lost would have told.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, Client};
use tokio_util::sync::CancellationToken;

use super::silent;
use super::url::Server;
use crate::control::CHANNEL;
use crate::{Store, StoreError};

/// How often it looks without being told to; also how long after a lost connection it tries again.
const LOOK: Duration = Duration::from_secs(1);

/// Follows the log until `stop`, and lets go of `head` then.
pub(super) async fn run(server: Arc<Server>, stop: CancellationToken, head: watch::Sender<i64>) {
    loop {
        let lost = tokio::select! {
            () = stop.cancelled() => return,
            lost = listen(&server, &head) => lost,
        };
        if let Err(error) = lost {
            tracing::warn!(%error, "the control log cannot be followed just now; connecting again");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Follows the log over one connection, until it is lost.
async fn listen(server: &Server, head: &watch::Sender<i64>) -> Result<(), StoreError> {
    // The kernel of a server that is stopped takes connections, and nobody greets.
    let (client, mut connection) =
        timeout(server.answer, server.config.connect(server.tls.clone()))
            .await
            .map_err(|_| silent())??;
    // One word is enough, however many notifications there were since it was read.
    let (told, mut news) = mpsc::channel(1);
    let drive = async move {
        while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
            if matches!(message?, AsyncMessage::Notification(_)) {
                let _ = told.try_send(());
            }
        }
        Ok::<_, StoreError>(())
    };
    let look = async {
        let listen = async {
            client.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
            client.prepare(Store::CONTROL_HEAD.text()).await
        };
        let statement = timeout(server.answer, listen)
            .await
            .map_err(|_| silent())??;
        loop {
            // Nobody waits on a server that fell silent.
            timeout(server.answer, publish(&client, &statement, head))
                .await
                .map_err(|_| silent())??;
            // Told or not: in a second at the latest it looks again.
            let _ = timeout(LOOK, news.recv()).await;
        }
    };
    tokio::select! {
        ended = drive => ended,
        ended = look => ended,
    }
}

async fn publish(
    client: &Client,
    statement: &tokio_postgres::Statement,
    head: &watch::Sender<i64>,
) -> Result<(), StoreError> {
    let found: i64 = client.query_one(statement, &[]).await?.try_get(0)?;
    head.send_if_modified(|head| std::mem::replace(head, found) != found);
    Ok(())
}
