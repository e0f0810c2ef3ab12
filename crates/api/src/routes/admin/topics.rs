//! `GET /admin/topics`.

use axum::Json;
use axum::extract::State;
use chatsdk_types::AppId;
use serde::Serialize;

use super::{Page, schema};
use crate::Problem;
use crate::extract::{FromParameters, Operator, Parameters, Query};
use crate::node::TopicView;
use crate::state::ApiState;

/// Which topics, and which part of their list.
#[derive(Debug)]
pub(crate) struct Request {
    app: Option<AppId>,
    page: Page,
}

impl FromParameters for Request {
    fn from_parameters(parameters: &Parameters) -> Result<Self, Problem> {
        parameters.no_misspelling(&["app", "from", "limit"])?;
        Ok(Self {
            app: parameters.parsed("app")?,
            page: Page::read(parameters)?,
        })
    }
}

/// Part of the list of topics, in no particular order.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct TopicList {
    /// The topics.
    topics: Vec<TopicView>,
    /// What to send as `from` for the next page; `null` on the last one.
    #[schema(pattern = "^[0-9]{1,15}$", example = "4711")]
    next: Option<String>,
}

/// List topics.
///
/// Those that somebody listens to or that remember something, on this node. What comes or goes between two
/// pages is listed or not; what stays is listed once. A page that is not the last may be empty.
#[utoipa::path(
    get,
    path = "/admin/topics",
    operation_id = "listTopics",
    tag = "Admin",
    security(("operatorToken" = [])),
    params(
        ("app" = inline(Option<schema::AppText>), Query, description = "Topics of this app"),
        ("from" = inline(Option<schema::PlaceText>), Query, description = "`next` of the page before, of the same node since its start"),
        ("limit" = inline(Option<schema::Limit>), Query, description = "The longest page"),
    ),
    responses((status = 200, description = "The page", body = TopicList)),
)]
pub(crate) async fn topics(
    State(state): State<ApiState>,
    _: Operator,
    Query(Request { app, page }): Query<Request>,
) -> Json<TopicList> {
    let node = state.node();
    let step = |from, most| node.topics(app.as_ref(), from, most);
    let (topics, next) = page.fill(step).await;
    Json(TopicList { topics, next })
}
