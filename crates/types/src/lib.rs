//! Every shape that crosses a boundary, spelled once.
//!
//! - [`ids`]: identifiers, one type each, so that a session can never be passed for a user.
//! - [`error_code`]: the closed list of failures, with the status and the sentence of each.
//! - [`scope`]: what an API key may do.
//! - [`lifetime`]: how long a token lives, and the grammar it is written in.
//! - [`tokens`]: the replies of the token endpoints.
//! - [`clock`], [`entropy`]: time and chance, which are arguments everywhere else.
//!
//! No I/O happens here; every other crate may depend on this one, and it depends on none of them.

pub mod clock;
pub mod entropy;
pub mod error_code;
pub mod ids;
pub mod lifetime;
pub mod scope;
pub mod tokens;

pub use clock::{Clock, ManualClock, Millis, SystemClock};
pub use entropy::{Entropy, SystemEntropy};
pub use error_code::ErrorCode;
pub use ids::{AppId, KeyId, SessionId, UserId};
pub use lifetime::Lifetime;
pub use scope::{Scope, Scopes};
