//! The settings there are: the one list that the loader, `chatsdk config` and the reference page are
//! made from.

/// A setting, before it has a value.
#[derive(Debug)]
pub struct Setting {
    /// Its name in the file: `listen`, or `tokens.access_ttl` for `access_ttl` under `[tokens]`.
    pub key: &'static str,
    /// Its name in the environment.
    pub env: &'static str,
    /// Its value where nobody says another.
    pub default: &'static str,
    /// What it is for.
    pub doc: &'static str,
}

/// Every setting, in the order of the reference page.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "listen",
        env: "CHATSDK_LISTEN",
        default: "127.0.0.1:5500",
        doc: "Address of the API listener. Port 0 takes a free one, which the ready line reports.",
    },
    Setting {
        key: "realtime_listen",
        env: "CHATSDK_REALTIME_LISTEN",
        default: "127.0.0.1:8001",
        doc: "Address of the realtime listener. Both listeners serve every route.",
    },
    Setting {
        key: "public_url",
        env: "CHATSDK_PUBLIC_URL",
        default: "http://localhost:5500",
        doc: "The address that clients reach the API by: the issuer (`iss`) of access tokens. Changing it makes every access token invalid until its client refreshes.",
    },
    Setting {
        key: "data_dir",
        env: "CHATSDK_DATA_DIR",
        default: "./data",
        doc: "Directory of the embedded database, the deployment secret and the revocation journal.",
    },
    Setting {
        key: "database_url",
        env: "CHATSDK_DATABASE_URL",
        default: "",
        doc: "`sqlite:PATH` or `postgres://…`. Empty means SQLite in the data directory. PostgreSQL needs CHATSDK_SECRET; `sslmode=require` encrypts, `sslrootcert=FILE` verifies.",
    },
    Setting {
        key: "allowed_origins",
        env: "CHATSDK_ALLOWED_ORIGINS",
        default: "*",
        doc: "Origins of pages that may call the API and open sockets: `*`, or a list such as `https://app.example.com` (comma-separated in the environment). `null` has to be listed to be allowed.",
    },
    Setting {
        key: "trusted_proxies",
        env: "CHATSDK_TRUSTED_PROXIES",
        default: "",
        doc: "Addresses or networks (`10.0.0.0/8`) of reverse proxies whose `X-Forwarded-For` is believed.",
    },
    Setting {
        key: "rate_limits",
        env: "CHATSDK_RATE_LIMITS",
        default: "on",
        doc: "`on`, or `off` for load tests.",
    },
    Setting {
        key: "request_timeout",
        env: "CHATSDK_REQUEST_TIMEOUT",
        default: "10s",
        doc: "How long a client may take to send the head of a request, and then its body.",
    },
    Setting {
        key: "log",
        env: "CHATSDK_LOG",
        default: "info",
        doc: "What is logged to standard error: `error`, `warn`, `info`, `debug` or `trace`.",
    },
    Setting {
        key: "log_format",
        env: "CHATSDK_LOG_FORMAT",
        default: "text",
        doc: "`text`, or `json` for one object a line.",
    },
    Setting {
        key: "tokens.access_ttl",
        env: "CHATSDK_TOKENS_ACCESS_TTL",
        default: "1h",
        doc: "How long an access token lives unless the app or the mint says otherwise.",
    },
    Setting {
        key: "tokens.refresh_ttl",
        env: "CHATSDK_TOKENS_REFRESH_TTL",
        default: "7d",
        doc: "How long a refresh token lives unless it is exchanged; each exchange starts it anew.",
    },
    Setting {
        key: "tokens.session_ttl",
        env: "CHATSDK_TOKENS_SESSION_TTL",
        default: "90d",
        doc: "How long a session lives whatever happens.",
    },
    Setting {
        key: "tokens.min_access_ttl",
        env: "CHATSDK_TOKENS_MIN_ACCESS_TTL",
        default: "60s",
        doc: "The shortest access token that a mint may ask for.",
    },
    Setting {
        key: "tokens.min_refresh_ttl",
        env: "CHATSDK_TOKENS_MIN_REFRESH_TTL",
        default: "5m",
        doc: "The shortest refresh token that a mint may ask for.",
    },
    Setting {
        key: "tokens.sessions_per_user",
        env: "CHATSDK_TOKENS_SESSIONS_PER_USER",
        default: "100",
        doc: "How many sessions a user may have before those that were never refreshed are evicted.",
    },
    Setting {
        key: "realtime.expired_close_delay",
        env: "CHATSDK_REALTIME_EXPIRED_CLOSE_DELAY",
        default: "25s",
        doc: "How long a socket may stay past the end of its access token before it is closed with 3005.",
    },
    Setting {
        key: "realtime.ping_interval",
        env: "CHATSDK_REALTIME_PING_INTERVAL",
        default: "25s",
        doc: "From one ping on a realtime connection to the next, 10s to 10m: less than what proxies let be idle. A connection that does not answer within 8 seconds is closed with 3012.",
    },
    Setting {
        key: "realtime.max_connections",
        env: "CHATSDK_REALTIME_MAX_CONNECTIONS",
        default: "100000",
        doc: "How many realtime connections there may be; one more is answered 503. `0` for any number.",
    },
    Setting {
        key: "realtime.max_connections_per_user",
        env: "CHATSDK_REALTIME_MAX_CONNECTIONS_PER_USER",
        default: "100",
        doc: "How many realtime connections one user may have; one more is closed with 3504. `0` for any number.",
    },
    Setting {
        key: "realtime.connections_per_second",
        env: "CHATSDK_REALTIME_CONNECTIONS_PER_SECOND",
        default: "1000",
        doc: "How many realtime connections may be opened in a second; one more is answered 503, and its client comes back by itself. `0` for any number, which `rate_limits = off` means, too.",
    },
    Setting {
        key: "realtime.history_memory_mib",
        env: "CHATSDK_REALTIME_HISTORY_MEMORY_MIB",
        default: "256",
        doc: "How many MiB the publications kept for clients that come back may take up, with the topics that are remembered for them; one app may have half of it. Above it the oldest go first. `0` for any number.",
    },
    Setting {
        key: "realtime.compress_from",
        env: "CHATSDK_REALTIME_COMPRESS_FROM",
        default: "0",
        doc: "From how many bytes on messages are compressed for WebSockets whose client offers it (permessage-deflate): `512` is a good start where traffic costs more than CPU. `0` accepts no offer.",
    },
];

/// The setting called `key`.
pub fn setting(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// `docs/reference/config.md`.
pub fn reference() -> String {
    let mut page = String::from(
        "# Configuration\n\n\
         A setting is taken from the first place that has it: a flag of the command, the environment, the \
         file (`--config FILE`, or `CHATSDK_CONFIG`), its default. `chatsdk config` prints the values in \
         force and where each comes from.\n\n\
         The deployment secret is no setting: it is read from `CHATSDK_SECRET`, or from the file `secret` \
         in the data directory, which the first start creates; the one before it from `CHATSDK_SECRET_PREVIOUS`, \
         while it is being changed. Nor is the operator token: it is read from \
         `CHATSDK_OPERATOR_TOKEN`, or from the file `operator-token` there, which is made likewise.\n\n\
         | file | environment | default | what it is |\n|---|---|---|---|\n",
    );
    for Setting {
        key,
        env,
        default,
        doc,
    } in SETTINGS
    {
        let default = if default.is_empty() {
            "–".to_owned()
        } else {
            format!("`{default}`")
        };
        page.extend([
            "| `", key, "` | `", env, "` | ", &default, " | ", doc, " |\n",
        ]);
    }
    page
}
