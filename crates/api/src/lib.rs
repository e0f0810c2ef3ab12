//! HTTP: one file per endpoint, extractors, problem documents, OpenAPI, the embedded dashboard.
