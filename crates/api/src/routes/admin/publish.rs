//! `POST /admin/publish`.

use axum::Json as Reply;
use axum::extract::State;
use chatsdk_types::AppId;
use serde_json::value::RawValue;
use utoipa::openapi::schema::SchemaType;
use utoipa::openapi::{Object, ObjectBuilder, Type};

use super::{schema, which_app};
use crate::Problem;
use crate::extract::{FromMembers, Json, Members, Operator};
use crate::node::{Publication, Published, Unpublished};
use crate::state::ApiState;

/// The longest key, in bytes.
const MAX_KEY: usize = 128;

/// What to say, and where.
#[derive(Debug, utoipa::ToSchema)]
#[schema(rename_all = "camelCase", as = PublishRequest)]
pub(crate) struct Request {
    #[schema(schema_with = schema::app, required = false)]
    app: Option<AppId>,
    #[schema(schema_with = topic)]
    topic: String,
    #[schema(schema_with = data)]
    data: Box<RawValue>,
    #[schema(schema_with = key, required = false)]
    idempotency_key: Option<String>,
}

impl FromMembers for Request {
    fn from_members(members: &Members<'_>) -> Result<Self, Problem> {
        members.no_misspelling(&["app", "topic", "data", "idempotencyKey"])?;
        let idempotency_key = members.given_text("idempotencyKey")?;
        let fits = idempotency_key.as_deref().is_none_or(|key| {
            (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
        });
        if !fits {
            return Err(Problem::field(
                "idempotencyKey",
                format!("idempotencyKey is 1 to {MAX_KEY} visible characters of ASCII."),
            ));
        }
        Ok(Self {
            app: members.given_id("app")?,
            topic: members.required_text("topic")?,
            data: members.value("data")?.to_owned(),
            idempotency_key,
        })
    }
}

fn topic() -> Object {
    let user = crate::openapi::schema::USER_ID.trim_start_matches('^');
    let user = user.trim_end_matches('$');
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("`custom:NAME`, where everybody who is signed in to the app may listen; `custom:NAME#ID,ID`, where these users may; or `user:ID`, which reaches all connections of one user."))
        .max_length(Some(255))
        .pattern(Some(format!("^(?:custom:[ -~]{{1,248}}|user:{user})$")))
        .examples([serde_json::json!("custom:lobby")])
        .build()
}

fn data() -> Object {
    let types = [
        Type::Object,
        Type::Array,
        Type::String,
        Type::Number,
        Type::Boolean,
    ];
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter(types))
        .description(Some("What subscribers are sent: any JSON but `null`."))
        .examples([serde_json::json!({"text": "Maintenance at ten"})])
        .build()
}

fn key() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("The same key in the same topic within five minutes is the same publication: it is made once, and answered alike."))
        .min_length(Some(1))
        .max_length(Some(MAX_KEY))
        .pattern(Some("^[!-~]{1,128}$"))
        .examples([serde_json::json!("maintenance-42")])
        .build()
}

/// Publish in a topic.
///
/// As the server, in nobody's name. Subscribers on this node hear it at once, and those who come back
/// within five minutes recover it.
#[utoipa::path(
    post,
    path = "/admin/publish",
    operation_id = "publish",
    tag = "Admin",
    security(("operatorToken" = [])),
    request_body = Request,
    responses((status = 200, description = "It is published", body = Published)),
    extensions(("x-error-codes" = json!(["app_not_found"]))),
)]
pub(crate) async fn publish(
    State(state): State<ApiState>,
    _: Operator,
    Json(request): Json<Request>,
) -> Result<Reply<Published>, Problem> {
    let app = which_app(state.auth(), request.app).await?;
    let publication = Publication {
        app: &app,
        topic: &request.topic,
        data: &request.data,
        idempotency_key: request.idempotency_key.as_deref(),
    };
    let published = state.node().publish(&publication);
    published.map(Reply).map_err(|why| match why {
        Unpublished::NoTopic => Problem::field(
            "topic",
            "topic is custom:NAME with a name of up to 248 printable characters of ASCII, or user:ID.",
        ),
        Unpublished::TooDeep => Problem::field(
            "data",
            "data has objects and lists in each other deeper than clients read.",
        ),
    })
}
