//! HTTP: one file per endpoint, extractors, problem documents, OpenAPI, the embedded pages.
//!
//! Start with [`router()`]: the table of contents. A request passes through `layer` once (request id,
//! caller's address, CORS, metrics, the rendering of problems, the end of panics), then through
//! its endpoint:
//!
//! - `routes/<area>/<verb>.rs`: an endpoint each, its request type above its handler.
//! - `extract/`: who calls, with which body, about whom. A handler that runs has all of it.
//! - [`node`]: what operators may ask of the live node; the host answers it.
//! - [`problem`]: the one place where a failure becomes HTTP.
//! - `cors`, `arrival`, `measure`, `guard`: the parts of `layer`.
//! - `openapi`: the description of it all, from the Rust types; `docs/`: its readable page.
//!
//! There is no SQL and no rule of tokens here: every handler asks [`chatsdk_auth::Auth`].

pub mod node;
pub mod problem;

#[cfg(test)]
#[path = "../../protocol/tests/mutation/mod.rs"]
mod mutation;

mod arrival;
mod cors;
mod docs;
mod extract;
mod finish;
mod guard;
mod layer;
mod measure;
mod openapi;
mod router;
mod routes;
mod state;

pub use arrival::Network;
pub use docs::errors_reference;
pub use extract::key::shows_credential;
pub use extract::peer::address;
pub use node::Node;
pub use openapi::{openapi, openapi_value};
pub use problem::Problem;
pub use router::{router, router_with};
pub use state::{ApiConfig, ApiState, DevConfig, RenderMetrics};
