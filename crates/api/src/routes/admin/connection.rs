//! `GET /admin/connections/{client}`.

use axum::Json;
use axum::extract::State;
use chatsdk_types::ErrorCode;

use super::{find, schema};
use crate::Problem;
use crate::extract::{ClientPath, Operator};
use crate::node::ConnectionDetail;
use crate::state::ApiState;

/// Look at a realtime connection.
#[utoipa::path(
    get,
    path = "/admin/connections/{client}",
    operation_id = "getConnection",
    tag = "Admin",
    security(("operatorToken" = [])),
    params(("client" = inline(schema::ClientText), Path, description = "The id of the connection")),
    responses((status = 200, description = "The connection", body = ConnectionDetail)),
    extensions(("x-error-codes" = json!(["connection_not_found"]))),
)]
pub(crate) async fn connection(
    State(state): State<ApiState>,
    _: Operator,
    ClientPath(client): ClientPath,
) -> Result<Json<ConnectionDetail>, Problem> {
    let node = state.node();
    match find(|from| node.connection(&client, from)).await {
        Some(connection) => Ok(Json(connection)),
        None => Err(ErrorCode::ConnectionNotFound.into()),
    }
}
