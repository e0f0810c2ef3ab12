//! `GET /admin/node`.

use axum::Json;
use axum::extract::State;

use crate::extract::Operator;
use crate::node::NodeStatus;
use crate::state::ApiState;

/// Look at the node.
#[utoipa::path(
    get,
    path = "/admin/node",
    operation_id = "getNode",
    tag = "Admin",
    security(("operatorToken" = [])),
    responses((status = 200, description = "How the node is", body = NodeStatus)),
)]
pub(crate) async fn node(State(state): State<ApiState>, _: Operator) -> Json<NodeStatus> {
    Json(state.node().status())
}
