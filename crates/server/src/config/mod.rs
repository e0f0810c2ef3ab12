//! What the operator decided: defaults, then the file, then the environment, then flags.
//!
//! Every value is text until all layers are laid over each other, and is parsed once, so that a mistake
//! is reported the same way wherever it was made, with the name of that place.

mod settings;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use chatsdk_api::Network;
use chatsdk_auth::{AuthConfig, Life};
use chatsdk_store::Location;
use chatsdk_types::Lifetime;

use crate::operator_token::OperatorToken;
pub use settings::{SETTINGS, Setting, reference, setting};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// The environment variable of the setting.
    Environment,
    /// A flag of the command, or the command itself.
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment => f.write_str("environment"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("the configuration file {path} is not valid TOML: {detail}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        detail: String,
    },
    /// The file sets something that does not exist.
    #[error(
        "the configuration file {path} sets `{key}`, which is no setting; `chatsdk config` lists those that are"
    )]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The name in the file.
        key: String,
    },
    /// A value is not what the setting takes.
    #[error("`{key}` ({source_name}) is {value:?}: {why}")]
    Value {
        /// The setting.
        key: &'static str,
        /// Where the value came from.
        source_name: String,
        /// The value.
        value: String,
        /// What the setting takes.
        why: String,
    },
}

/// The layers, laid over each other: for each setting its text and where it came from.
#[derive(Debug, Clone)]
pub struct Layers(BTreeMap<&'static str, (String, Source)>);

impl Layers {
    /// The defaults, under the file if there is one, under the environment as `env` answers it.
    pub fn load(
        file: Option<&Path>,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut layers = Self(
            SETTINGS
                .iter()
                .map(|setting| (setting.key, (setting.default.to_owned(), Source::Default)))
                .collect(),
        );
        if let Some(path) = file {
            layers.lay_file(path)?;
        }
        for setting in SETTINGS {
            if let Some(value) = env(setting.env) {
                layers.0.insert(setting.key, (value, Source::Environment));
            }
        }
        Ok(layers)
    }

    fn lay_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let table: toml::Table =
            text.parse()
                .map_err(|error: toml::de::Error| ConfigError::Syntax {
                    path: path.to_owned(),
                    detail: error.to_string(),
                })?;
        let mut values = Vec::new();
        flatten("", &table, &mut values);
        for (key, value) in values {
            let Some(setting) = setting(&key) else {
                return Err(ConfigError::Unknown {
                    path: path.to_owned(),
                    key,
                });
            };
            self.0
                .insert(setting.key, (value, Source::File(path.to_owned())));
        }
        Ok(())
    }

    /// Lays a flag over everything else.
    pub fn flag(&mut self, key: &'static str, value: Option<impl Into<String>>) {
        if let Some(value) = value {
            self.0.insert(key, (value.into(), Source::Flag));
        }
    }

    /// Lays a value over the default alone: what a command takes for granted unless the operator speaks.
    pub fn assume(&mut self, key: &'static str, value: &str) {
        if let Some((text, Source::Default)) = self.0.get_mut(key) {
            value.clone_into(text);
        }
    }

    /// Every setting with its value and source, in the order of the reference page.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Setting, &str, &Source)> {
        SETTINGS.iter().filter_map(|setting| {
            self.0
                .get(setting.key)
                .map(|(value, source)| (setting, value.as_str(), source))
        })
    }

    fn text(&self, key: &'static str) -> (&str, String) {
        self.0
            .get(key)
            .map_or(("", String::new()), |(value, source)| {
                (value, source.to_string())
            })
    }

    fn parse<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        let (value, source_name) = self.text(key);
        parse(value).map_err(|why| ConfigError::Value {
            key,
            source_name,
            value: value.to_owned(),
            why,
        })
    }

    fn lifetime(&self, key: &'static str) -> Result<Lifetime, ConfigError> {
        self.parse(key, |text| {
            text.parse::<Lifetime>().map_err(|error| error.to_string())
        })
    }

    fn address(&self, key: &'static str) -> Result<SocketAddr, ConfigError> {
        self.parse(key, |text| {
            text.parse().map_err(|_| {
                "it takes an address and a port, such as 127.0.0.1:5500 or [::]:5500".to_owned()
            })
        })
    }
}

/// A file's tables as dotted keys, its values as text; arrays are joined by commas.
fn flatten(prefix: &str, table: &toml::Table, values: &mut Vec<(String, String)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        match value {
            toml::Value::Table(table) => flatten(&key, table, values),
            toml::Value::Array(items) => {
                values.push((key, items.iter().map(scalar).collect::<Vec<_>>().join(",")));
            }
            other => values.push((key, scalar(other))),
        }
    }
}

fn scalar(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Boolean(true) => "on".into(),
        toml::Value::Boolean(false) => "off".into(),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Datetime(moment) => moment.to_string(),
        // Nested lists and tables in lists mean nothing to any setting; its parser says what it takes.
        toml::Value::Array(_) | toml::Value::Table(_) => String::from("a nested value"),
    }
}

/// A proxy's address, or a network of them such as `10.0.0.0/8`.
fn network(text: &str) -> Result<Network, String> {
    let bad = || format!("`{text}` is neither an address nor a network such as 10.0.0.0/8");
    let (address, prefix) = text
        .split_once('/')
        .map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let address: IpAddr = address.parse().map_err(|_| bad())?;
    let all = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.map_or(Ok(all), |prefix| prefix.parse().map_err(|_| bad()))?;
    if prefix > all {
        Err(bad())
    } else {
        Ok(Network { address, prefix })
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// A configuration that can be used.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address of the API listener.
    pub listen: SocketAddr,
    /// Address of the realtime listener.
    pub realtime_listen: SocketAddr,
    /// Directory of database, secret and journal.
    pub data_dir: PathBuf,
    /// Where the data lives.
    pub database: Location,
    /// Whether data lives in PostgreSQL, which other nodes may share.
    pub shared_database: bool,
    /// The origins that may call; `None` for all.
    pub allowed_origins: Option<Vec<String>>,
    /// Proxies whose word on addresses is taken.
    pub trusted_proxies: Vec<Network>,
    /// How long a client may take to send a request's head, and then its body.
    pub request_timeout: Lifetime,
    /// The most detailed lines that are logged.
    pub log: tracing::level_filters::LevelFilter,
    /// How they are written.
    pub log_format: LogFormat,
    /// Tokens, sessions and limits.
    pub auth: AuthConfig,
    /// How long a socket may stay past the end of its token.
    pub expired_close_delay: Lifetime,
    /// From one ping on a realtime connection to the next.
    pub ping_interval: Lifetime,
    /// `CHATSDK_OPERATOR_TOKEN`, which is no setting so that nothing prints it; `None`: the token stands in
    /// the data directory.
    pub operator_token: Option<OperatorToken>,
    /// How many realtime connections there may be; 0 for any number.
    pub max_connections: usize,
    /// How many of one user; 0 for any number.
    pub max_connections_per_user: usize,
    /// How many may be opened in a second; 0 for any number.
    pub connections_per_second: u32,
    /// How many bytes kept publications may take up; 0 for any number.
    pub history_bytes: usize,
    /// From how many bytes on messages are compressed for clients that offer it; 0 for none.
    pub compress_from: usize,
}

impl Config {
    /// Parses the layers.
    pub fn parse(layers: &Layers) -> Result<Self, ConfigError> {
        let data_dir = PathBuf::from(layers.text("data_dir").0);
        let (database, shared_database) =
            layers.parse("database_url", |url| database(url, &data_dir))?;
        let on_off = |text: &str| match text {
            "on" => Ok(true),
            "off" => Ok(false),
            _ => Err("it takes `on` or `off`".to_owned()),
        };
        let config = Self {
            listen: layers.address("listen")?,
            realtime_listen: layers.address("realtime_listen")?,
            database,
            shared_database,
            allowed_origins: layers.parse("allowed_origins", origins)?,
            trusted_proxies: layers
                .parse("trusted_proxies", |text| words(text).map(network).collect())?,
            request_timeout: layers.lifetime("request_timeout")?,
            log: layers.parse("log", |text| {
                text.parse()
                    .map_err(|_| "it takes error, warn, info, debug or trace".to_owned())
            })?,
            log_format: layers.parse("log_format", |text| match text {
                "text" => Ok(LogFormat::Text),
                "json" => Ok(LogFormat::Json),
                _ => Err("it takes `text` or `json`".to_owned()),
            })?,
            auth: AuthConfig {
                issuer: layers.parse("public_url", public_url)?,
                access_ttl: layers.lifetime("tokens.access_ttl")?,
                refresh_ttl: layers.lifetime("tokens.refresh_ttl")?,
                session_ttl: layers.lifetime("tokens.session_ttl")?,
                min_access_ttl: layers.parse("tokens.min_access_ttl", |text| {
                    match text.parse::<Lifetime>() {
                        Ok(life) if life.as_millis() >= 1000 => Ok(life),
                        _ => {
                            Err("it takes a lifetime of one second or more, such as 60s".to_owned())
                        }
                    }
                })?,
                min_refresh_ttl: layers.lifetime("tokens.min_refresh_ttl")?,
                sessions_per_user: layers.parse("tokens.sessions_per_user", |text| {
                    match text.parse() {
                        Ok(count) if count > 0 => Ok(count),
                        _ => Err("it takes a whole number above zero".to_owned()),
                    }
                })?,
                rate_limits: layers.parse("rate_limits", on_off)?,
                ..AuthConfig::default()
            },
            expired_close_delay: layers.lifetime("realtime.expired_close_delay")?,
            ping_interval: layers.parse("realtime.ping_interval", |text| {
                match text.parse::<Lifetime>() {
                    Ok(pause) if (10_000..=600_000).contains(&pause.as_millis()) => Ok(pause),
                    _ => Err("it takes 10s to 10m".to_owned()),
                }
            })?,
            operator_token: None,
            max_connections: layers.parse("realtime.max_connections", number)?,
            max_connections_per_user: layers.parse("realtime.max_connections_per_user", number)?,
            connections_per_second: layers.parse("realtime.connections_per_second", number)?,
            history_bytes: layers.parse("realtime.history_memory_mib", |text| {
                number::<usize>(text)?
                    .checked_mul(1024 * 1024)
                    .ok_or_else(|| "it takes fewer MiB".to_owned())
            })?,
            compress_from: layers.parse("realtime.compress_from", number)?,
            data_dir,
        };
        if let Err(unfit) = config.auth.check_lifetimes() {
            let key = match unfit.life {
                Life::Access => "tokens.access_ttl",
                Life::Refresh => "tokens.refresh_ttl",
                Life::Session => "tokens.session_ttl",
            };
            layers.parse(key, |_| Err::<(), _>(unfit.detail))?;
        }
        Ok(config)
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| "it takes a whole number, 0 or above".to_owned())
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
}

fn database(url: &str, data_dir: &Path) -> Result<(Location, bool), String> {
    if url.is_empty() {
        Ok((Location::Sqlite(data_dir.join("chatsdk.db")), false))
    } else if let Some(path) = url.strip_prefix("sqlite:") {
        // `sqlite://relative` and `sqlite:///absolute` are how others write it.
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() {
            Err("`sqlite:` is followed by the path of a file".into())
        } else {
            Ok((Location::Sqlite(path.into()), false))
        }
    } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        Ok((Location::Postgres(url.to_owned()), true))
    } else {
        Err("it takes sqlite:PATH or postgres://USER@HOST/DATABASE".into())
    }
}

fn origins(text: &str) -> Result<Option<Vec<String>>, String> {
    if text.trim() == "*" {
        return Ok(None);
    }
    words(text)
        .map(|origin| {
            let rest = origin.split_once("://").map(|(_, rest)| rest);
            let plain = rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['/', '?', '#', '*']));
            if plain || origin == "null" {
                Ok(origin.to_ascii_lowercase())
            } else {
                Err(format!("`{origin}` is no origin; one is written https://app.example.com, without a path"))
            }
        })
        .collect::<Result<_, _>>()
        .map(Some)
}

fn public_url(text: &str) -> Result<String, String> {
    let url = text.trim_end_matches('/');
    let host = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !url.contains(['?', '#', ' ']) => Ok(url.to_owned()),
        _ => Err("it takes the http or https address that clients reach the API by".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(file: Option<&str>, env: &[(&str, &str)]) -> Result<Layers, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = file.map(|text| {
            let path = dir.path().join("chatsdk.toml");
            std::fs::write(&path, text).unwrap();
            path
        });
        let env: BTreeMap<String, String> = env
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Layers::load(path.as_deref(), |name| env.get(name).cloned())
    }

    #[test]
    fn the_defaults_are_usable() {
        let config = Config::parse(&layers(None, &[]).unwrap()).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:5500");
        assert_eq!(config.realtime_listen.to_string(), "127.0.0.1:8001");
        assert_eq!(config.auth.issuer, "http://localhost:5500");
        assert!(
            config.allowed_origins.is_none() && config.auth.rate_limits && !config.shared_database
        );
    }

    #[test]
    fn flags_over_environment_over_file_over_defaults() {
        let file = "listen = \"127.0.0.1:1\"\nrealtime_listen = \"127.0.0.1:1\"\nallowed_origins = [\"https://a.example\", \"null\"]\n[tokens]\naccess_ttl = \"10m\"\nsessions_per_user = 5\n";
        let mut layers = layers(
            Some(file),
            &[
                ("CHATSDK_REALTIME_LISTEN", "127.0.0.1:2"),
                ("CHATSDK_LOG", "debug"),
            ],
        )
        .unwrap();
        layers.flag("realtime_listen", Some("127.0.0.1:3"));
        layers.flag("log", None::<String>);
        let config = Config::parse(&layers).unwrap();
        assert_eq!(config.listen.port(), 1);
        assert_eq!(config.realtime_listen.port(), 3);
        assert_eq!(config.auth.access_ttl, Lifetime::secs(600));
        assert_eq!(config.auth.sessions_per_user, 5);
        assert_eq!(
            config.allowed_origins.unwrap(),
            ["https://a.example", "null"]
        );
        assert_eq!(config.log, tracing::level_filters::LevelFilter::DEBUG);
    }

    #[test]
    fn a_mistake_names_its_place() {
        let error = Config::parse(&layers(None, &[("CHATSDK_LISTEN", "5500")]).unwrap())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`listen`") && error.contains("environment") && error.contains("5500"),
            "{error}"
        );
        let error = Config::parse(&layers(Some("listen = 1"), &[]).unwrap()).unwrap_err();
        assert!(error.to_string().contains("chatsdk.toml"), "{error}");
        let unknown = layers(Some("listn = 1"), &[]).unwrap_err().to_string();
        assert!(unknown.contains("`listn`"), "{unknown}");
        assert!(matches!(
            layers(Some("listen ="), &[]),
            Err(ConfigError::Syntax { .. })
        ));
        for (key, value) in [
            ("CHATSDK_DATABASE_URL", "mysql://x"),
            ("CHATSDK_RATE_LIMITS", "false"),
            ("CHATSDK_ALLOWED_ORIGINS", "https://a.example/path"),
            ("CHATSDK_PUBLIC_URL", "example.com"),
            ("CHATSDK_TRUSTED_PROXIES", "10.0.0.0/33"),
            ("CHATSDK_TOKENS_MIN_ACCESS_TTL", "500ms"),
            ("CHATSDK_TOKENS_SESSIONS_PER_USER", "0"),
            ("CHATSDK_REALTIME_MAX_CONNECTIONS", "-1"),
            (
                "CHATSDK_REALTIME_HISTORY_MEMORY_MIB",
                "18446744073709551615",
            ),
        ] {
            assert!(
                Config::parse(&layers(None, &[(key, value)]).unwrap()).is_err(),
                "{key}={value}"
            );
        }
    }

    #[test]
    fn the_hosts_own_variables_are_not_ours() {
        assert!(
            SETTINGS
                .iter()
                .all(|setting| !matches!(setting.env, "CHATSDK_API_URL" | "CHATSDK_API_KEY"))
        );
    }
}
