//! `POST /admin/disconnect`.

use axum::Json as Reply;
use axum::extract::State;
use chatsdk_types::{AppId, SessionId, UserId};
use serde::Serialize;
use utoipa::openapi::{AllOfBuilder, ObjectBuilder, OneOfBuilder, RefOr, Schema, Type};

use super::{find, schema, which_app};
use crate::Problem;
use crate::extract::{FromMembers, Json, Members, Operator};
use crate::node::{CLOSE_CODES, Close, Whom};
use crate::state::ApiState;

/// The close code where nobody says another: the client is sent away.
const FORCE_DISCONNECT: u16 = 3503;

/// The longest reason, in bytes: what fits into a close frame.
const MAX_REASON: usize = 123;

/// Whose connections, and how they end.
#[derive(Debug)]
pub(crate) struct Request {
    app: Option<AppId>,
    target: Target,
    close: Close,
}

#[derive(Debug)]
enum Target {
    Client(String),
    Many(Whom),
}

impl FromMembers for Request {
    fn from_members(members: &Members<'_>) -> Result<Self, Problem> {
        members.no_misspelling(&[
            "app", "client", "session", "user", "everyone", "code", "reason",
        ])?;
        let user: Option<UserId> = match members.raw("user") {
            None => None,
            Some(_) => Some(members.user_id("user")?),
        };
        let session: Option<SessionId> = members.given_id("session")?;
        let client = members.given_text("client")?;
        let everyone = match members.raw("everyone") {
            None => false,
            Some(Some(value)) if value.get() == "true" => true,
            Some(_) => {
                return Err(Problem::field(
                    "everyone",
                    "everyone is true, or is left out.",
                ));
            }
        };
        let target = match (client, session, user, everyone) {
            (Some(client), None, None, false) => Target::Client(is_client(client)?),
            (None, Some(session), None, false) => Target::Many(Whom::Session(session)),
            (None, None, Some(user), false) => Target::Many(Whom::User(user)),
            (None, None, None, true) => Target::Many(Whom::Everyone),
            _ => {
                return Err(Problem::field(
                    "client",
                    "Exactly one of client, session, user and everyone says whose connections end.",
                ));
            }
        };
        Ok(Self {
            app: members.given_id("app")?,
            target,
            close: close(members)?,
        })
    }
}

fn is_client(client: String) -> Result<String, Problem> {
    let groups = [8, 4, 4, 4, 12];
    let fits = client.len() == 36
        && client.split('-').map(str::len).eq(groups)
        && client
            .bytes()
            .all(|byte| matches!(byte, b'-' | b'0'..=b'9' | b'a'..=b'f'));
    if fits {
        Ok(client)
    } else {
        Err(Problem::field(
            "client",
            "client is the id of a connection: a UUID in lower case.",
        ))
    }
}

fn close(members: &Members<'_>) -> Result<Close, Problem> {
    let code = match members.given_integer("code")? {
        None => FORCE_DISCONNECT,
        Some(asked) => {
            let known = CLOSE_CODES.iter().map(|(code, _)| *code);
            known
                .into_iter()
                .find(|code| i64::from(*code) == asked)
                .ok_or_else(|| {
                    let codes = CLOSE_CODES.map(|(code, _)| code.to_string()).join(", ");
                    Problem::field("code", format!("code is one of {codes}."))
                })?
        }
    };
    let reason = members.given_text("reason")?;
    let fits = reason.as_deref().is_none_or(|reason| {
        (1..=MAX_REASON).contains(&reason.len())
            && reason.bytes().all(|byte| (b' '..=b'~').contains(&byte))
    });
    if !fits {
        return Err(Problem::field(
            "reason",
            format!("reason is 1 to {MAX_REASON} printable characters of ASCII."),
        ));
    }
    Ok(Close { code, reason })
}

impl utoipa::PartialSchema for Request {
    fn schema() -> RefOr<Schema> {
        let codes = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .description(Some("The close code. Stock clients come back by themselves after 3001 (shutdown), 3005 (connection expired: with a fresh token), 3011 (force reconnect) and 3014 (state invalidated: without recovery), and stay away after 3503 (force disconnect), 3504 (connection limit), 3507 (permission denied) and 3508 (not available). ChatSDK's own SDKs come back as long as the session lives."))
            .enum_values(Some(CLOSE_CODES.map(|(code, _)| code)))
            .default(Some(FORCE_DISCONNECT.into()));
        let members = ObjectBuilder::new()
            .property("app", schema::app())
            .property("client", schema::client())
            .property("session", schema::session())
            .property("user", crate::openapi::schema::user_id())
            .property(
                "everyone",
                ObjectBuilder::new()
                    .schema_type(Type::Boolean)
                    .description(Some("All connections of the app."))
                    .enum_values(Some([true])),
            )
            .property("code", codes)
            .property(
                "reason",
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some(
                        "What clients are told beside the code. Left out: the code's own words.",
                    ))
                    .min_length(Some(1))
                    .max_length(Some(MAX_REASON))
                    .pattern(Some("^[ -~]{1,123}$"))
                    .examples([serde_json::json!("moving to another node")]),
            );
        let exactly_one = ["client", "session", "user", "everyone"]
            .into_iter()
            .fold(OneOfBuilder::new(), |choice, name| {
                choice.item(ObjectBuilder::new().required(name))
            });
        AllOfBuilder::new()
            .description(Some(
                "Whose connections end, as exactly one of `client`, `session`, `user` and `everyone`, and how.",
            ))
            .item(members)
            .item(exactly_one)
            .into()
    }
}

impl utoipa::ToSchema for Request {
    fn name() -> std::borrow::Cow<'static, str> {
        "DisconnectRequest".into()
    }
}

/// What was done.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Closed {
    /// How many connections were closed.
    #[schema(minimum = 0, example = 2)]
    disconnected: usize,
    /// With which code.
    #[schema(minimum = 3000, maximum = 4999, example = 3503)]
    code: u16,
    /// Whether stock clients come back by themselves after this code.
    #[schema(example = false)]
    reconnects: bool,
}

/// Close realtime connections.
///
/// On this node, at once. The session lives on: whoever has its tokens can connect again. To keep
/// somebody away, end the session or ban the person.
#[utoipa::path(
    post,
    path = "/admin/disconnect",
    operation_id = "disconnect",
    tag = "Admin",
    security(("operatorToken" = [])),
    request_body = Request,
    responses((status = 200, description = "They are closed; none, where nobody fits", body = Closed)),
    extensions(("x-error-codes" = json!(["app_not_found"]))),
)]
pub(crate) async fn disconnect(
    State(state): State<ApiState>,
    _: Operator,
    Json(Request { app, target, close }): Json<Request>,
) -> Result<Reply<Closed>, Problem> {
    let node = state.node();
    let disconnected = match target {
        Target::Many(whom) => {
            let app = which_app(state.auth(), app).await?;
            node.disconnect(&app, &whom, &close)
        }
        Target::Client(client) => {
            let app = match app {
                Some(app) => Some(which_app(state.auth(), Some(app)).await?),
                None => None,
            };
            let step = |from| node.disconnect_client(app.as_ref(), &client, &close, from);
            usize::from(find(step).await.is_some())
        }
    };
    let reconnects = CLOSE_CODES
        .iter()
        .any(|(code, reconnects)| *code == close.code && *reconnects);
    Ok(Reply(Closed {
        disconnected,
        code: close.code,
        reconnects,
    }))
}
