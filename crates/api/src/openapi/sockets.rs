//! The routes of realtime connections. Whoever composes the server adds them to the router, so that no handler
//! describes them; what is spoken behind them is no matter of OpenAPI.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::openapi::PathItem;

/// The tag of these routes.
pub(super) const TAG: &str = "Realtime";

/// What the tag means.
pub(super) const ABOUT: &str = "Connections in the Centrifuge client protocol, JSON or Protobuf; the SDKs and the stock clients speak it. The access token stands in the connect command, never in the address. Every node has these routes on both of its ports.";

/// The routes, without the failures that follow from their codes.
pub(super) fn paths() -> BTreeMap<String, PathItem> {
    let described = json!({
        "/connection/websocket": { "get": websocket("connectWebSocket", "Connect by WebSocket") },
        "/ws": { "get": websocket("connectWebSocketShort", "Connect by WebSocket, by a shorter address") },
        "/connection/http_stream": { "post": {
            "operationId": "connectHttpStream",
            "tags": [TAG],
            "summary": "Connect by a streamed reply",
            "description": "For where WebSockets do not get through. The body holds the connect command; replies and pushes follow as long as the connection lives. Later commands go to `POST /emulation`.",
            "requestBody": { "required": true, "content": commands() },
            "responses": { "200": { "description": "The replies and pushes, one a line in JSON; in Protobuf, each after its length", "content": commands() } },
            "x-error-codes": stream_codes(),
        } },
        "/connection/sse": {
            "get": {
                "operationId": "connectEventSource",
                "tags": [TAG],
                "summary": "Connect by server-sent events",
                "description": "For where WebSockets do not get through. An `EventSource` has nowhere else to put its connect command than in the address. Later commands go to `POST /emulation`.",
                "parameters": [{ "name": "cf_connect", "in": "query", "required": true, "description": "The connect command in JSON", "schema": { "type": "string" } }],
                "responses": events(),
                "x-error-codes": stream_codes(),
            },
            "post": {
                "operationId": "connectEventStream",
                "tags": [TAG],
                "summary": "Connect by server-sent events, with the connect command in the body",
                "description": "As with GET, for clients that can send a body.",
                "requestBody": { "required": true, "content": { "application/json": { "schema": { "type": "string" } } } },
                "responses": events(),
                "x-error-codes": stream_codes(),
            },
        },
        "/emulation": { "post": {
            "operationId": "sendCommands",
            "tags": [TAG],
            "summary": "Send commands for a streamed connection",
            "description": "`session` and `node` are those of the connect reply; `data` holds the commands as they would stand in a frame. The replies come by the stream. On another node than the stream's, the answer is 404.",
            "requestBody": { "required": true, "content": {
                "application/json": { "schema": {
                    "type": "object",
                    "required": ["session", "node", "data"],
                    "properties": {
                        "session": { "type": "string" },
                        "node": { "type": "string" },
                        "data": { "type": "string", "description": "Commands in JSON, one a line" },
                    },
                } },
                "application/octet-stream": { "schema": { "type": "string", "format": "binary" } },
            } },
            "responses": { "204": { "description": "They are taken" } },
            "x-error-codes": ["invalid_request", "origin_forbidden", "not_found", "payload_too_large", "request_timeout", "unavailable"],
        } },
    });
    serde_json::from_value(described).unwrap_or_default()
}

fn websocket(id: &str, summary: &str) -> Value {
    json!({
        "operationId": id,
        "tags": [TAG],
        "summary": summary,
        "description": "A WebSocket handshake (RFC 6455), without a token: that stands in the connect command, the first one. `cf_protocol=protobuf`, `format=protobuf` or the subprotocol `centrifuge-protobuf` choose Protobuf.",
        "responses": { "101": { "description": "The protocol begins" } },
        "x-error-codes": ["invalid_request", "origin_forbidden", "upgrade_required", "unavailable"],
    })
}

fn events() -> Value {
    json!({ "200": { "description": "The replies and pushes, an event each", "content": { "text/event-stream": { "schema": { "type": "string" } } } } })
}

fn commands() -> Value {
    json!({
        "application/json": { "schema": { "type": "string", "description": "Lines of JSON" } },
        "application/octet-stream": { "schema": { "type": "string", "format": "binary" } },
    })
}

fn stream_codes() -> Value {
    json!([
        "invalid_request",
        "origin_forbidden",
        "payload_too_large",
        "request_timeout",
        "unavailable"
    ])
}
