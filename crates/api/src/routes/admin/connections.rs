//! `GET /admin/connections`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::{Page, schema};
use crate::Problem;
use crate::extract::{FromParameters, Operator, Parameters, Query};
use crate::node::{ConnectionView, Wanted};
use crate::state::ApiState;

/// The longest name of a topic, in characters.
const MAX_TOPIC: usize = 255;

/// Which connections, and which part of their list.
#[derive(Debug)]
pub(crate) struct Request {
    wanted: Wanted,
    page: Page,
}

impl FromParameters for Request {
    fn from_parameters(parameters: &Parameters) -> Result<Self, Problem> {
        parameters.no_misspelling(&["app", "user", "session", "topic", "from", "limit"])?;
        let topic = parameters.text("topic");
        if topic.is_some_and(|topic| topic.is_empty() || topic.chars().count() > MAX_TOPIC) {
            return Err(Problem::field(
                "topic",
                format!("topic has 1 to {MAX_TOPIC} characters."),
            ));
        }
        Ok(Self {
            wanted: Wanted {
                app: parameters.parsed("app")?,
                user: parameters.parsed("user")?,
                session: parameters.parsed("session")?,
                topic: topic.map(str::to_owned),
            },
            page: Page::read(parameters)?,
        })
    }
}

/// Part of the list of connections, oldest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ConnectionList {
    /// The connections.
    connections: Vec<ConnectionView>,
    /// What to send as `from` for the next page; `null` on the last one.
    #[schema(pattern = "^[0-9]{1,15}$", example = "4711")]
    next: Option<String>,
}

/// List realtime connections.
///
/// Those that are authenticated and fit every filter, on this node. What comes or goes between two pages
/// is listed or not; what stays is listed once. A page that is not the last may be empty.
#[utoipa::path(
    get,
    path = "/admin/connections",
    operation_id = "listConnections",
    tag = "Admin",
    security(("operatorToken" = [])),
    params(
        ("app" = inline(Option<schema::AppText>), Query, description = "Connections of this app"),
        ("user" = inline(Option<crate::openapi::schema::UserIdText>), Query, description = "Connections of the person with this id of yours"),
        ("session" = inline(Option<schema::SessionText>), Query, description = "Connections of this session"),
        ("topic" = inline(Option<schema::TopicText>), Query, description = "Connections that listen to this topic"),
        ("from" = inline(Option<schema::PlaceText>), Query, description = "`next` of the page before, of the same node since its start"),
        ("limit" = inline(Option<schema::Limit>), Query, description = "The longest page"),
    ),
    responses((status = 200, description = "The page", body = ConnectionList)),
)]
pub(crate) async fn connections(
    State(state): State<ApiState>,
    _: Operator,
    Query(Request { wanted, page }): Query<Request>,
) -> Json<ConnectionList> {
    let node = state.node();
    let step = |from, most| node.connections(&wanted, from, most);
    let (connections, next) = page.fill(step).await;
    Json(ConnectionList { connections, next })
}
