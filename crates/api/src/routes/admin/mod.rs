//! The live node, for operators: its connections and topics, looked at and acted on.
//!
//! Lists are read in steps, with a turn for others between two of them: an operator who looks must not be
//! felt by those who talk.

pub(crate) mod connection;
pub(crate) mod connections;
pub(crate) mod disconnect;
pub(crate) mod node;
pub(crate) mod publish;
pub(crate) mod topics;

use chatsdk_auth::Auth;
use chatsdk_types::{AppId, ErrorCode};

use crate::Problem;
use crate::extract::Parameters;
use crate::node::Step;

/// The longest page.
const MAX_PAGE: u64 = 500;

/// A page where nobody says how long.
const PAGE: u64 = 100;

/// The highest place in a list: fifteen digits, which every JSON parser keeps exactly.
const MAX_PLACE: u64 = 999_999_999_999_999;

/// Which part of a list.
#[derive(Debug, Clone, Copy)]
struct Page {
    from: u64,
    limit: usize,
}

impl Page {
    fn read(parameters: &Parameters) -> Result<Self, Problem> {
        let limit = parameters.number("limit", 1, MAX_PAGE)?.unwrap_or(PAGE);
        Ok(Self {
            from: parameters.number("from", 0, MAX_PLACE)?.unwrap_or(0),
            limit: limit as usize,
        })
    }

    /// The page, and where the next one begins. `step` is given where to begin and how much there is
    /// room for.
    async fn fill<T>(
        self,
        mut step: impl FnMut(u64, usize) -> Step<T>,
    ) -> (Vec<T>, Option<String>) {
        let mut page = Vec::new();
        let mut from = self.from;
        loop {
            let found = step(from, self.limit - page.len());
            page.extend(found.items);
            match found.next {
                None => return (page, None),
                Some(next) if page.len() >= self.limit => return (page, Some(next.to_string())),
                Some(next) => from = next,
            }
            tokio::task::yield_now().await;
        }
    }
}

/// The first thing that `step` finds anywhere in a list.
async fn find<T>(mut step: impl FnMut(u64) -> Step<T>) -> Option<T> {
    let mut from = 0;
    loop {
        let found = step(from);
        if let Some(item) = found.items.into_iter().next() {
            return Some(item);
        }
        from = found.next?;
        tokio::task::yield_now().await;
    }
}

/// The app that is meant: the one that is named, or the only one that there is.
async fn which_app(auth: &Auth, named: Option<AppId>) -> Result<AppId, Problem> {
    if let Some(app) = named {
        return match auth.find_app(&app).await? {
            Some(app) => Ok(app.id),
            None => Err(ErrorCode::AppNotFound.into()),
        };
    }
    let mut apps = auth.apps().await?;
    match (apps.pop(), apps.len()) {
        (Some(only), 0) => Ok(only.id),
        (None, _) => Err(Problem::new(ErrorCode::AppNotFound).detail("There is no app yet.")),
        (Some(_), others) => Err(Problem::field(
            "app",
            format!("There are {} apps; say which one.", others + 1),
        )),
    }
}

/// Schemas of what several of these endpoints take.
mod schema {
    use serde_json::json;
    use utoipa::openapi::schema::SchemaType;
    use utoipa::openapi::{Object, ObjectBuilder, RefOr, Schema, Type};

    /// The id of an app as text.
    const APP: &str = "^app_[0-7][0-9a-hjkmnp-tv-z]{25}$";

    /// The id of a session as text.
    pub(super) const SESSION: &str = "^ses_[0-7][0-9a-hjkmnp-tv-z]{25}$";

    /// The id of a connection as text.
    pub(super) const CLIENT: &str =
        "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";

    fn text(pattern: &str, example: &str) -> ObjectBuilder {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(pattern))
            .examples([json!(example)])
    }

    /// An app.
    pub(super) fn app() -> Object {
        text(APP, "app_01h455vb4pex5vsknk084sn02q")
            .description(Some("The app. It may be left out where there is only one."))
            .build()
    }

    /// A session.
    pub(super) fn session() -> Object {
        text(SESSION, "ses_01h455vb4pex5vsknk084sn02q")
            .description(Some("The connections of this session."))
            .build()
    }

    /// A connection.
    pub(super) fn client() -> Object {
        text(CLIENT, "9f0b4a52-6d4e-4f0a-8f5b-0a9d1c8f7e31")
            .description(Some("The one connection with this id."))
            .build()
    }

    macro_rules! parameters {
        ($($(#[$doc:meta])* $name:ident = $schema:expr;)+) => {$(
            $(#[$doc])*
            #[derive(Debug)]
            pub(super) struct $name;

            impl utoipa::PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    $schema.into()
                }
            }

            impl utoipa::ToSchema for $name {}
        )+};
    }

    parameters! {
        /// The id of an app as a parameter.
        AppText = text(APP, "app_01h455vb4pex5vsknk084sn02q").build();
        /// The id of a session as a parameter.
        SessionText = text(SESSION, "ses_01h455vb4pex5vsknk084sn02q").build();
        /// The id of a connection as a parameter.
        ClientText = text(CLIENT, "9f0b4a52-6d4e-4f0a-8f5b-0a9d1c8f7e31").build();
        /// The name of a topic as a parameter.
        TopicText = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(255))
            .examples([json!("custom:lobby")])
            .build();
        /// A place in a list as a parameter.
        PlaceText = text("^[0-9]{1,15}$", "0").build();
        /// The length of a page as a parameter.
        Limit = ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::Integer))
            .minimum(Some(1))
            .maximum(Some(super::MAX_PAGE as i64))
            .default(Some(json!(super::PAGE)))
            .build();
    }
}
