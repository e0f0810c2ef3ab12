//! The commands, a file each.
//!
//! Commands that look or change something do it on the database itself, beside a serving process
//! if there is one: what they change is in force there within a second. `connections`, `disconnect` and
//! `publish` are about what no database holds: they call the serving process, see `live`.

mod app;
mod arguments;
mod audit;
mod backup;
mod config;
mod connections;
mod dev;
mod disconnect;
mod doctor;
mod key;
mod live;
mod migrate;
mod openapi;
mod output;
mod publish;
mod serve;
mod session;
mod signing_key;
mod since;
mod user;

use std::path::PathBuf;
use std::sync::Arc;

use chatsdk_auth::{Auth, OpenTo, Opened, Secrets};
use chatsdk_store::Store;
use chatsdk_types::{AppId, SystemClock, SystemEntropy};
use clap::{Args, Parser, Subcommand};

use crate::config::{Config, Layers};
use crate::operator_token::{self, OperatorToken};
use crate::secret::SecretError;
use output::Failure;
pub(crate) use output::moment;

/// Self-hosted chat with token-based security.
#[derive(Debug, Parser)]
#[command(name = "chatsdk", version, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Global {
    /// Directory of the embedded database, the deployment secret and the revocation journal
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
    /// `sqlite:PATH` or `postgres://…`; without it SQLite in the data directory
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,
    /// Configuration file (TOML)
    #[arg(long, global = true, value_name = "FILE", env = "CHATSDK_CONFIG")]
    config: Option<PathBuf>,
    /// Print JSON lines for programs instead of text for people
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API and the realtime connections
    Serve(serve::Serve),
    /// Serve on loopback for development: a demo page, a key, and a curl that works
    Dev(dev::Dev),
    /// Create and list apps
    #[command(subcommand)]
    App(app::App),
    /// Create, list, rotate and revoke API keys
    #[command(subcommand)]
    Key(key::Key),
    /// Show, ban, unban and delete users
    #[command(subcommand)]
    User(user::User),
    /// List and end sessions
    #[command(subcommand)]
    Session(session::Session),
    /// List the realtime connections of the live node
    Connections(connections::Connections),
    /// Close realtime connections of the live node
    Disconnect(disconnect::Disconnect),
    /// Publish in a topic on the live node
    Publish(publish::Publish),
    /// List and rotate the keys that sign access tokens
    #[command(subcommand)]
    SigningKey(signing_key::SigningKey),
    /// Read the audit log: who did what
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Bring the database's schema up to this version
    Migrate(migrate::Migrate),
    /// Copy the embedded database and the secret, while the server runs
    Backup(backup::Backup),
    /// Say what is wrong with a configuration, a database, a port or a token
    Doctor(doctor::Doctor),
    /// Print the OpenAPI document
    Openapi(openapi::Openapi),
    /// Print the settings in force and where each comes from
    Config(config::ConfigCommand),
}

impl Cli {
    /// What the process was told to do; or, where that is nothing it can do, the exit code after saying so.
    pub fn from_arguments() -> Result<Self, std::process::ExitCode> {
        Self::try_parse().map_err(|error| arguments::refused(&error))
    }

    /// Runs the command and answers the exit code of the process.
    pub async fn run(self) -> std::process::ExitCode {
        let json = self.global.json;
        let outcome = match self.command {
            Command::Serve(command) => command.run(&self.global).await,
            Command::Dev(command) => command.run(&self.global).await,
            Command::App(command) => command.run(&self.global).await,
            Command::Key(command) => command.run(&self.global).await,
            Command::User(command) => command.run(&self.global).await,
            Command::Session(command) => command.run(&self.global).await,
            Command::Connections(command) => command.run(&self.global).await,
            Command::Disconnect(command) => command.run(&self.global).await,
            Command::Publish(command) => command.run(&self.global).await,
            Command::SigningKey(command) => command.run(&self.global).await,
            Command::Audit(command) => command.run(&self.global).await,
            Command::Migrate(command) => command.run(&self.global).await,
            Command::Backup(command) => command.run(&self.global).await,
            Command::Doctor(command) => command.run(&self.global).await,
            Command::Openapi(command) => command.run(&self.global),
            Command::Config(command) => command.run(&self.global),
        };
        match outcome {
            Ok(()) => std::process::ExitCode::SUCCESS,
            Err(failure) => failure.report(json),
        }
    }
}

impl Global {
    /// The configuration under the global flags; the commands lay their own on top.
    fn layers(&self) -> Result<Layers, Failure> {
        let mut layers = Layers::load(self.config.as_deref(), |name| std::env::var(name).ok())?;
        layers.flag("data_dir", self.data_dir.clone());
        layers.flag("database_url", self.database_url.clone());
        Ok(layers)
    }

    /// The service on the database, for a command that runs beside a server.
    async fn auth(&self) -> Result<Auth, Failure> {
        let config = Config::parse(&self.layers()?)?;
        crate::telemetry::log(&config);
        let (auth, opened) = open(&config, OpenTo::Command).await?;
        crate::report_replayed(&opened);
        Ok(auth)
    }
}

/// Refuses an app that does not exist, before anything is looked up or changed in it.
async fn known_app(auth: &Auth, app: &AppId) -> Result<(), Failure> {
    match auth.find_app(app).await? {
        Some(_) => Ok(()),
        None => Err(Failure::not_found("app", app)),
    }
}

/// Opens the store, with a data directory where there has to be one.
async fn open_store(config: &Config) -> Result<Store, Failure> {
    create_data_dir(&config.data_dir)?;
    Ok(Store::open(config.database.clone()).await?)
}

fn create_data_dir(path: &std::path::Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| {
            Failure::new(
                "data_dir",
                format!(
                    "the data directory {} cannot be made: {error}",
                    path.display()
                ),
            )
        })
}

/// The operator token of the environment, if it stands there.
fn given_operator_token() -> Result<Option<OperatorToken>, Failure> {
    let text = std::env::var(operator_token::ENVIRONMENT).ok();
    Ok(text.as_deref().map(OperatorToken::given).transpose()?)
}

/// Opens the service to serve, and says what that found out about the past.
async fn open_to_serve(config: &Config) -> Result<Auth, Failure> {
    let (auth, opened) = open(config, OpenTo::Serve).await?;
    crate::report_replayed(&opened);
    crate::report_unknown(&opened);
    Ok(auth)
}

async fn open(config: &Config, to: OpenTo) -> Result<(Auth, Opened), Failure> {
    create_data_dir(&config.data_dir)?;
    let found = crate::secret::find(config, std::env::var("CHATSDK_SECRET").ok())?;
    let store = open_store(config).await?;
    let secret = match found {
        Some(secret) => secret,
        None if Auth::known_secret(&store).await?.is_some() => return Err(SecretError::Gone.into()),
        None => crate::secret::create(config, &SystemEntropy)?,
    };
    let secrets = Secrets {
        current: secret,
        previous: crate::secret::previous(std::env::var("CHATSDK_SECRET_PREVIOUS").ok())?,
    };
    let opened = Auth::open(
        store,
        config.auth.clone(),
        &secrets,
        &config.data_dir,
        to,
        Arc::new(SystemClock),
        Arc::new(SystemEntropy),
    )
    .await?;
    Ok(opened)
}
