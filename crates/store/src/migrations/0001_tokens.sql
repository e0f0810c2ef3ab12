-- Single facts about the deployment.
CREATE TABLE meta (
    name  {{text}} PRIMARY KEY,
    value {{text}} NOT NULL
) {{keyed}};

CREATE TABLE apps (
    id          {{text}} PRIMARY KEY,
    name        {{text}} NOT NULL,
    created_at  {{int}} NOT NULL,
    access_ttl  {{int}},
    refresh_ttl {{int}},
    session_ttl {{int}}
) {{keyed}};

-- No foreign keys: tenants and people are never removed, only marked, so a reference cannot dangle;
-- and on PostgreSQL each one would lock the row of the app at every new user and session.
CREATE TABLE users (
    app_id     {{text}} NOT NULL,
    id         {{text}} NOT NULL,
    name       {{text}},
    avatar     {{text}},
    custom     {{text}},
    created_at {{int}} NOT NULL,
    updated_at {{int}} NOT NULL,
    banned_at  {{int}},
    ban_reason {{text}},
    deleted_at {{int}},
    PRIMARY KEY (app_id, id)
) {{keyed}};
-- Read whole when a process starts; they hold few rows.
CREATE INDEX users_banned ON users (app_id, id) WHERE banned_at IS NOT NULL;
CREATE INDEX users_deleted ON users (app_id, id) WHERE deleted_at IS NOT NULL;

CREATE TABLE api_keys (
    id           {{text}} PRIMARY KEY,
    app_id       {{text}} NOT NULL,
    env          {{text}} NOT NULL,
    hash         {{bytes}} NOT NULL,
    last4        {{text}} NOT NULL,
    name         {{text}} NOT NULL,
    scopes       {{text}} NOT NULL,
    created_at   {{int}} NOT NULL,
    expires_at   {{int}},
    revoked_at   {{int}},
    last_used_at {{int}}
) {{keyed}};
CREATE INDEX api_keys_by_app ON api_keys (app_id);

-- The hot table. Its key is ordered by time, so that inserts go to one end; no column that a rotation
-- changes stands in an index, so that a rotation touches one page.
CREATE TABLE sessions (
    id            {{text}} PRIMARY KEY,
    app_id        {{text}} NOT NULL,
    user_id       {{text}} NOT NULL,
    key_id        {{text}},
    cur           {{int}} NOT NULL,
    prev          {{int}} NOT NULL,
    proven        {{int}} NOT NULL,
    rotated_at    {{int}} NOT NULL,
    rt_exp        {{int}} NOT NULL,
    abs_exp       {{int}} NOT NULL,
    rt_kid        {{text}} NOT NULL,
    access_ttl    {{int}} NOT NULL,
    idle_ttl      {{int}} NOT NULL,
    created_at    {{int}} NOT NULL,
    device_id     {{text}},
    device_name   {{text}},
    revoked_at    {{int}},
    revoke_reason {{text}}
) {{hot}};
CREATE INDEX sessions_by_user ON sessions (app_id, user_id);
-- For the day a key has leaked; a key's sessions are appended in order, so it costs next to nothing.
CREATE INDEX sessions_by_key ON sessions (key_id);

CREATE TABLE signing_keys (
    kid          {{text}} PRIMARY KEY,
    public_key   {{bytes}} NOT NULL,
    sealed       {{bytes}} NOT NULL,
    created_at   {{int}} NOT NULL,
    activates_at {{int}} NOT NULL,
    retired_at   {{int}},
    emergency    {{int}} NOT NULL
) {{keyed}};

-- Numbers are never used again, even when the log was emptied: a reader keeps its place by them.
CREATE TABLE control_log (
    seq     {{serial}},
    kind    {{text}} NOT NULL,
    app_id  {{text}} NOT NULL,
    subject {{text}} NOT NULL,
    at      {{int}} NOT NULL
) {{logged}};
CREATE INDEX control_log_by_time ON control_log (at);

CREATE TABLE audit_log (
    seq        {{serial}},
    at         {{int}} NOT NULL,
    app_id     {{text}} NOT NULL,
    action     {{text}} NOT NULL,
    actor      {{text}} NOT NULL,
    user_id    {{text}} NOT NULL,
    session_id {{text}} NOT NULL,
    ip         {{text}} NOT NULL,
    user_agent {{text}} NOT NULL,
    request_id {{text}} NOT NULL,
    detail     {{text}} NOT NULL
) {{logged}};
CREATE INDEX audit_log_by_time ON audit_log (at);
