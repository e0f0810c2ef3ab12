//! `GET /readyz`.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use chatsdk_types::ErrorCode;

use super::Health;
use crate::Problem;
use crate::state::ApiState;

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Ask whether requests can be sent here.
///
/// Asks the database. A server that is ending answers 503, so that balancers send nobody else.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "getReadiness",
    tag = "Operations",
    responses((status = 200, description = "It answers, and so does its database", body = Health)),
)]
pub(crate) async fn ready(State(state): State<ApiState>) -> Result<Json<Health>, Problem> {
    if state.draining() {
        return Err(Problem::new(ErrorCode::Unavailable).detail("The server is ending."));
    }
    match tokio::time::timeout(PATIENCE, state.auth().store().ping()).await {
        Ok(Ok(())) => Ok(Json(Health { status: "ok" })),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready: the database does not answer");
            Err(Problem::new(ErrorCode::Unavailable).detail("The database does not answer."))
        }
        Err(_) => {
            Err(Problem::new(ErrorCode::Unavailable)
                .detail("The database does not answer in time."))
        }
    }
}
