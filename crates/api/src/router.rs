//! The table of contents.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::layer::{layer, nowhere, other_method};
use crate::routes::{admin, dev, operations, reference, sessions, tokens, users, well_known};
use crate::state::ApiState;

/// What is described in the OpenAPI document.
pub(crate) fn described() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        // For backends, with an API key.
        .routes(routes!(tokens::mint::mint))
        .routes(routes!(tokens::introspect::introspect))
        .routes(routes!(
            users::list_sessions::list_sessions,
            users::delete_sessions::delete_sessions
        ))
        .routes(routes!(users::delete_session::delete_session))
        .routes(routes!(users::revoke::revoke))
        .routes(routes!(users::ban::ban, users::unban::unban))
        // For apps and pages, with the tokens themselves.
        .routes(routes!(tokens::refresh::refresh))
        .routes(routes!(tokens::revoke::revoke))
        .routes(routes!(sessions::list::list))
        .routes(routes!(sessions::delete::delete))
        // For operators, with their token.
        .routes(routes!(admin::node::node))
        .routes(routes!(admin::connections::connections))
        .routes(routes!(admin::connection::connection))
        .routes(routes!(admin::topics::topics))
        .routes(routes!(admin::disconnect::disconnect))
        .routes(routes!(admin::publish::publish))
        // For everybody.
        .routes(routes!(well_known::jwks::jwks))
        .routes(routes!(operations::health::health))
        .routes(routes!(operations::ready::ready))
        .routes(routes!(operations::metrics::metrics))
        .routes(routes!(reference::openapi::openapi))
        .routes(routes!(reference::docs::docs))
        .routes(routes!(reference::errors::errors))
}

/// Whether replies of this route may be read by pages of other origins. No route that takes an API
/// key or the operator token is among them.
pub(crate) fn open_to_pages(route: &str) -> bool {
    matches!(
        route,
        "/auth/refresh"
            | "/auth/revoke"
            | "/auth/sessions"
            | "/auth/sessions/{sessionId}"
            | "/.well-known/jwks.json"
            | "/dev/token"
            | "/dev/config"
    )
}

/// For `chatsdk dev` alone.
fn for_development() -> Router<ApiState> {
    Router::new()
        .route("/dev", get(dev::page::without_slash))
        .route("/dev/", get(dev::page::page))
        .route("/dev/assets/{*path}", get(dev::assets::assets))
        .route("/dev/config", get(dev::config::config))
        .route("/dev/token", post(dev::token::token))
}

/// The whole API. Serve it with `ConnectInfo<SocketAddr>` as an extension of each request, or addresses
/// are unknown.
pub fn router(state: ApiState) -> Router {
    router_with(state, Router::new())
}

/// The whole API and `more` routes of the host, such as those that upgrade to WebSockets, under the same
/// layer: request ids, metrics, problem documents, the end of panics. `more` has no fallback of its own.
pub fn router_with(state: ApiState, more: Router) -> Router {
    let mut router: Router<ApiState> = described().split_for_parts().0;
    router = router.route("/docs/style.css", get(reference::style::style));
    if state.config().dev.is_some() {
        router = router.merge(for_development());
    }
    router
        .merge(more.with_state(()))
        .fallback(nowhere)
        .method_not_allowed_fallback(other_method)
        .layer(from_fn_with_state(state.clone(), layer))
        .with_state(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_route_for_api_keys_or_operators_is_open_to_pages() {
        let document = described().into_openapi();
        let mut open = 0;
        for (path, item) in &document.paths.paths {
            let operations = [&item.get, &item.post, &item.delete];
            for operation in operations.into_iter().flatten() {
                let security = serde_json::to_string(&operation.security).unwrap();
                let refuses = security.contains("apiKey") || security.contains("operatorToken");
                assert!(!(refuses && open_to_pages(path)), "{path}");
                open += usize::from(open_to_pages(path));
            }
        }
        assert_eq!(open, 5, "refresh, revoke, list and end sessions, keys");
    }
}
