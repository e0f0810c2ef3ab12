//! What a handler is given: who calls, with what proof; the body; whom it is about.
//!
//! - [`key`]: a backend with an API key. [`bearer`]: a person with an access token. [`operator`]: an
//!   operator of this node.
//! - [`json`]: a body, strictly. [`members`]: its members, with the types that they must have.
//! - [`path`]: ids in the path. [`query`]: parameters, strictly. [`peer`]: the other end, for limits and the audit log.

pub(crate) mod bearer;
pub(crate) mod json;
pub(crate) mod key;
pub(crate) mod members;
pub(crate) mod operator;
pub(crate) mod path;
pub(crate) mod peer;
pub(crate) mod query;

pub(crate) use bearer::Bearer;
pub(crate) use json::{Json, MaybeJson};
pub(crate) use key::Key;
pub(crate) use members::{FromMembers, Members};
pub(crate) use operator::Operator;
pub(crate) use path::{ClientPath, SessionPath, UserPath};
pub(crate) use peer::Caller;
pub(crate) use query::{FromParameters, Parameters, Query};
