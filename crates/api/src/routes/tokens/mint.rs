//! `POST /auth/tokens`.

use axum::Json as Reply;
use axum::extract::State;
use chatsdk_auth::profile::{self, Given};
use chatsdk_auth::{Auth, Mint, UserPatch};
use chatsdk_types::tokens::TokenReply;
use chatsdk_types::{Lifetime, UserId};
use serde_json::value::RawValue;

use crate::Problem;
use crate::extract::key::TokensMint;
use crate::extract::{Caller, FromMembers, Json, Key, Members};
use crate::openapi::schema;

/// Who tokens are for, and what the host says of them.
#[derive(Debug, utoipa::ToSchema)]
#[schema(rename_all = "camelCase", as = MintRequest)]
pub(crate) struct Request {
    /// Your id of the person: 1 to 128 bytes of UTF-8, compared byte for byte. An integer is taken as
    /// its digits.
    #[schema(schema_with = schema::user_id)]
    user_id: UserId,
    /// The name to show. Left out: unchanged, and a new person is called by their id. `null`: none.
    #[schema(value_type = Option<String>, required = false, max_length = 128, pattern = r"^[^\u0000-\u001F\u007F-\u009F]*$", example = "Test User")]
    name: Given<String>,
    /// The https address of a picture, at most 2048 bytes. Left out: unchanged. `null`: none.
    #[schema(value_type = Option<String>, required = false,  max_length = 2048, pattern = r#"^[Hh][Tt][Tt][Pp][Ss]://[^\u0000-\u0020\u007F-\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000"<>\\`/?#@]+([/?#][^\u0000-\u0020\u007F-\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000"<>\\`]*)?$"#, example = "https://example.com/avatar.jpg")]
    avatar: Given<String>,
    /// Your own data of the person, replaced as a whole: at most 1024 bytes as compact JSON, 8 levels deep.
    /// It travels in the access token, where its bearer can read it. Left out: unchanged. `null`: none.
    #[schema(schema_with = schema::custom, required = false)]
    custom: Given<Box<RawValue>>,
    /// How long access tokens of the session live: 60 s to 24 h unless the operator says otherwise.
    #[schema(schema_with = schema::access_lifetime, required = false)]
    access_token_expiry: Option<Lifetime>,
    /// How long refresh tokens of the session live unless they are exchanged: 5 min to 90 d unless
    /// the operator says otherwise, and not less than access tokens.
    #[schema(schema_with = schema::refresh_lifetime, required = false)]
    refresh_token_expiry: Option<Lifetime>,
    /// How long the session lives whatever happens: up to 365 d, and not less than its refresh tokens.
    #[schema(schema_with = schema::session_lifetime, required = false)]
    session_expiry: Option<Lifetime>,
    /// Your id of the device. Another mint for the same device answers the session that is there, if that has the
    /// lifetimes which this mint asks for, and half the life of its refresh token left. Otherwise a session begins
    /// beside it, and the older one stays until it is ended or expires.
    #[schema(value_type = Option<String>, required = false, min_length = 1, max_length = 128, pattern = r"^[^\u0000-\u001F\u007F-\u009F]*$", example = "ios-8f14e45f")]
    device_id: Option<String>,
    /// What to call the device in lists.
    #[schema(value_type = Option<String>, required = false, min_length = 1, max_length = 128, pattern = r"^[^\u0000-\u001F\u007F-\u009F]*$", example = "Ann's phone")]
    device_name: Option<String>,
}

impl FromMembers for Request {
    fn from_members(members: &Members<'_>) -> Result<Self, Problem> {
        members.no_misspelling(&[
            "userId",
            "name",
            "avatar",
            "custom",
            "accessTokenExpiry",
            "refreshTokenExpiry",
            "sessionExpiry",
            "deviceId",
            "deviceName",
        ])?;
        Ok(Self {
            user_id: members.user_id("userId")?,
            name: members.text("name")?,
            avatar: members.text("avatar")?,
            custom: members
                .raw("custom")
                .map(|custom| custom.map(ToOwned::to_owned)),
            access_token_expiry: members.optional_lifetime("accessTokenExpiry")?,
            refresh_token_expiry: members.optional_lifetime("refreshTokenExpiry")?,
            session_expiry: members.optional_lifetime("sessionExpiry")?,
            device_id: members.optional_text("deviceId")?,
            device_name: members.optional_text("deviceName")?,
        })
    }
}

/// Get tokens for a person.
///
/// Your backend calls this once it knows who somebody is. The person is created or updated, and a
/// session begins; with a `deviceId`, a live session of that device is found again.
#[utoipa::path(
    post,
    path = "/auth/tokens",
    operation_id = "mintTokens",
    tag = "Tokens",
    security(("apiKey" = [])),
    request_body = Request,
    responses((status = 200, description = "A pair of tokens and the person as they are now", body = TokenReply)),
    extensions(("x-error-codes" = json!(["user_banned", "app_disabled", "rate_limited"]))),
)]
pub(crate) async fn mint(
    State(auth): State<Auth>,
    key: Key<TokensMint>,
    Caller(peer): Caller,
    Json(request): Json<Request>,
) -> Result<Reply<TokenReply>, Problem> {
    let patch = UserPatch {
        name: profile::name(request.name)?,
        avatar: profile::avatar(request.avatar, auth.config().http_avatars)?,
        custom: profile::custom(request.custom)?,
    };
    let mint = Mint {
        user: request.user_id,
        patch,
        access_ttl: request.access_token_expiry,
        refresh_ttl: request.refresh_token_expiry,
        session_ttl: request.session_expiry,
        device_id: profile::device("deviceId", request.device_id)?,
        device_name: profile::device("deviceName", request.device_name)?,
    };
    Ok(Reply(auth.mint(&key.caller, mint, &peer).await?))
}
