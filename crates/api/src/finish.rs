//! Work that is finished even when its caller has gone.

use std::future::Future;

use chatsdk_auth::AuthError;

use crate::Problem;

/// Runs `work` in a task of its own. A connection that breaks drops its handler where it stands; a page
/// that is being closed sends its logout and is gone, and that logout must happen all the same.
pub(crate) async fn finish<T: Send + 'static>(
    work: impl Future<Output = Result<T, AuthError>> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::spawn(work).await {
        Ok(done) => done.map_err(Problem::from),
        Err(broken) => Err(Problem::internal(broken.to_string())),
    }
}
