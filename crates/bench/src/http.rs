//! Mint, refresh and an authenticated read over HTTP, on SQLite and PostgreSQL, beside the floors.
//!
//! For each store and number of connections, in rounds: the bare endpoint, then the three requests,
//! so that whatever else the machine does meanwhile falls on all of them. The ratio to the floor is
//! taken within a round. With one connection each round also runs a bare commit loop on the same
//! disk, or the same database server.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use chatsdk_pgtest::Cluster;

use crate::floors::{self, Commits};
use crate::load::{Address, Outcome, Plan, Script, drive, script};
use crate::product::{self, Product, ProductError, Setup};
use crate::program::{Program, ProgramError};
use crate::stats::{Sample, median};
use crate::{machine, process};

/// How long to run before anything is counted.
const WARM_UP: Duration = Duration::from_millis(300);

/// What keeps the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Store {
    /// The embedded database.
    Sqlite,
    /// A PostgreSQL server that is started for the occasion.
    Postgres,
}

impl Store {
    /// What a reader is told.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// The bare endpoint.
    Floor,
    /// `POST /auth/tokens`.
    Mint,
    /// `POST /auth/refresh`.
    Refresh,
    /// `GET /auth/sessions`.
    Read,
}

impl Request {
    /// The order within a round.
    pub const ALL: [Self; 4] = [Self::Floor, Self::Mint, Self::Refresh, Self::Read];

    /// What a reader is told.
    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "bare JSON echo",
            Self::Mint => "mint",
            Self::Refresh => "refresh",
            Self::Read => "authenticated GET",
        }
    }
}

/// How to measure.
#[derive(Debug, Clone)]
pub struct Options {
    /// The `chatsdk` binary.
    pub binary: PathBuf,
    /// A fresh directory on a real disk.
    pub work: PathBuf,
    /// How often each run is repeated; the median counts.
    pub rounds: usize,
    /// How long each run counts.
    pub window: Duration,
    /// The numbers of connections.
    pub connections: Vec<usize>,
    /// The stores.
    pub stores: Vec<Store>,
}

/// The medians of one request at one number of connections.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// What was asked for.
    pub request: Request,
    /// By how many connections.
    pub connections: usize,
    /// The medians.
    pub sample: Sample,
}

/// What was measured on one store.
#[derive(Debug, Clone)]
pub struct Results {
    /// The store.
    pub store: Store,
    /// Its version.
    pub version: String,
    /// The type of the file system that holds the data.
    pub file_system: String,
    /// The medians.
    pub rows: Vec<Row>,
    /// Commits per second of the bare loop, and the ratio of refreshes at one connection to them.
    pub commits: Option<(f64, f64)>,
    /// Resident memory of the server at most, in MiB.
    pub peak: f64,
}

impl Results {
    /// The medians of `request` at `connections`.
    pub fn of(&self, request: Request, connections: usize) -> Option<&Sample> {
        self.rows
            .iter()
            .find(|row| row.request == request && row.connections == connections)
            .map(|row| &row.sample)
    }
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The server could not be used.
    #[error(transparent)]
    Product(#[from] ProductError),
    /// The floor's server could not be used.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A run did not take place.
    #[error(transparent)]
    Drive(#[from] crate::load::drive::DriveError),
    /// A run met a refusal or a broken reply, so its figures mean nothing.
    #[error("{request} on {store} at {connections} connections is invalid: {errors}\n{sample}")]
    Invalid {
        /// What was asked for.
        request: &'static str,
        /// Of which store.
        store: &'static str,
        /// By how many connections.
        connections: usize,
        /// What went wrong, and how often.
        errors: String,
        /// The first refusal's body.
        sample: String,
    },
    /// A server could not be looked at.
    #[error(transparent)]
    Process(#[from] process::ProcessError),
    /// The sweep did not delete when it should have.
    #[error("the sweep of a million sessions did not run when it was waited for")]
    NoSweep,
    /// A commit on a memory file system is no commit.
    #[error(
        "{0} lies in memory; set --work-dir, and TMPDIR for PostgreSQL, to directories on a disk"
    )]
    NoDisk(PathBuf),
    /// The commit loop on SQLite failed.
    #[error("the commit loop failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The commit loop on PostgreSQL failed.
    #[error("the commit loop failed: {0}")]
    Postgres(#[from] tokio_postgres::Error),
    /// A file could not be used.
    #[error("{path}: {source}")]
    File {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Measures everything that `options` ask for, telling on standard error how far it is.
pub async fn measure(options: &Options) -> Result<Vec<Results>, HttpError> {
    let mut results = Vec::new();
    for &store in &options.stores {
        let place = Place::prepare(store, options).await?;
        results.push(place.measure(options).await?);
    }
    Ok(results)
}

/// A store with everything that is needed around it.
struct Place {
    store: Store,
    directory: PathBuf,
    file_system: String,
    version: String,
    cluster: Option<Running>,
}

/// A PostgreSQL server, and two databases on it.
struct Running {
    /// The server ends when this is dropped.
    cluster: Cluster,
    /// The process whose children the backends are.
    postmaster: u32,
    product: String,
    commit: String,
}

impl Place {
    async fn prepare(store: Store, options: &Options) -> Result<Self, HttpError> {
        let directory = options.work.join(store.name().to_lowercase());
        std::fs::create_dir_all(&directory).map_err(|source| HttpError::File {
            path: directory.clone(),
            source,
        })?;
        let cluster = match store {
            Store::Sqlite => None,
            Store::Postgres => Some(Running::start().await?),
        };
        let data = cluster
            .as_ref()
            .map_or(&*directory, |running| running.cluster.directory());
        let file_system = machine::file_system(data).unwrap_or_else(|| "unknown".to_owned());
        if machine::is_memory(&file_system) {
            return Err(HttpError::NoDisk(data.to_owned()));
        }
        let version = match &cluster {
            None => rusqlite::version().to_owned(),
            Some(running) => floors::pg_commit::version(&running.commit).await?,
        };
        Ok(Self {
            store,
            directory,
            file_system,
            version,
            cluster,
        })
    }

    async fn measure(&self, options: &Options) -> Result<Results, HttpError> {
        let echo = Echo::start(&self.directory).await?;
        let setup = Setup {
            binary: options.binary.clone(),
            data: self.directory.join("data"),
            database: self.cluster.as_ref().map(|running| running.product.clone()),
        };
        let server = setup.start()?;
        let users = Arc::new(AtomicU64::new(0));
        let mut rows = Vec::new();
        let mut commits = Vec::new();
        for &connections in &options.connections {
            let mut rounds = Rounds::prepare(&server, &echo, &users, connections).await?;
            let mut samples: [Vec<Sample>; 4] = Default::default();
            for round in 0..options.rounds {
                let loop_rate = if connections == 1 {
                    Some(self.commit(options.window).await?.rate())
                } else {
                    None
                };
                let mut floor = None;
                for request in Request::ALL {
                    eprintln!(
                        "{} · {connections} connections · round {} · {}",
                        self.store.name(),
                        round + 1,
                        request.name()
                    );
                    let outcome = self
                        .run(request, &mut rounds, &server, &echo, options.window)
                        .await?;
                    let mut sample = sample(
                        &outcome,
                        self.cluster.is_some() && request != Request::Floor,
                    );
                    match request {
                        Request::Floor => floor = Some(sample.rate),
                        _ => sample.of_floor = floor.map(|floor| sample.rate / floor),
                    }
                    if let (Request::Refresh, Some(loop_rate)) = (request, loop_rate) {
                        commits.push((loop_rate, sample.rate / loop_rate));
                    }
                    samples[request as usize].push(sample);
                }
            }
            rows.extend(Request::ALL.into_iter().filter_map(|request| {
                Some(Row {
                    request,
                    connections,
                    sample: Sample::medians(&samples[request as usize])?,
                })
            }));
        }
        let peak = process::memory(server.pid())?.peak as f64 / 1024.0;
        server.stop()?;
        let commits = median(commits.iter().map(|(rate, _)| *rate))
            .zip(median(commits.iter().map(|(_, ratio)| *ratio)));
        Ok(Results {
            store: self.store,
            version: self.version.clone(),
            file_system: self.file_system.clone(),
            rows,
            commits,
            peak,
        })
    }

    async fn run(
        &self,
        request: Request,
        rounds: &mut Rounds,
        server: &Product,
        echo: &Echo,
        window: Duration,
    ) -> Result<Outcome, HttpError> {
        let to = rounds.to(request);
        let watched = match (&self.cluster, request) {
            (_, Request::Floor) => vec![echo.program.pid()],
            (None, _) => vec![server.pid()],
            (Some(running), _) => vec![server.pid(), running.postmaster],
        };
        let scripts = std::mem::take(rounds.scripts(request));
        let connections = scripts.len();
        let mut outcome = drive(Plan {
            to: to.socket,
            scripts,
            warm_up: WARM_UP,
            window,
            watched,
        })
        .await?;
        if !outcome.is_valid() {
            return Err(HttpError::Invalid {
                request: request.name(),
                store: self.store.name(),
                connections,
                errors: describe(&outcome),
                sample: outcome.sample.take().unwrap_or_default(),
            });
        }
        *rounds.scripts(request) = std::mem::take(&mut outcome.scripts);
        Ok(outcome)
    }

    async fn commit(&self, window: Duration) -> Result<Commits, HttpError> {
        match &self.cluster {
            None => Ok(floors::commit::run(&self.directory, window)?),
            Some(running) => Ok(floors::pg_commit::run(&running.commit, window).await?),
        }
    }
}

impl Running {
    async fn start() -> Result<Self, HttpError> {
        let cluster =
            Cluster::start(&["fsync=on", "synchronous_commit=on", "full_page_writes=on"]).await;
        let path = cluster.directory().join("data/postmaster.pid");
        let text = std::fs::read_to_string(&path).map_err(|source| HttpError::File {
            path: path.clone(),
            source,
        })?;
        let postmaster = text
            .lines()
            .next()
            .and_then(|line| line.trim().parse().ok());
        let postmaster = postmaster.ok_or_else(|| HttpError::File {
            path,
            source: std::io::ErrorKind::InvalidData.into(),
        })?;
        let (product, commit) = (cluster.database().await, cluster.database().await);
        Ok(Self {
            cluster,
            postmaster,
            product,
            commit,
        })
    }
}

/// The bare endpoint, in a process of its own.
struct Echo {
    program: Program,
    to: Address,
}

impl Echo {
    async fn start(directory: &std::path::Path) -> Result<Self, HttpError> {
        let this = std::env::current_exe().map_err(|source| HttpError::File {
            path: "/proc/self/exe".into(),
            source,
        })?;
        let mut command = std::process::Command::new(this);
        let program = Program::start(
            command.args(["floor", "http"]),
            &directory.join("floor.log"),
        )?;
        let ready = program.event(&["ready"])?;
        let api = ready["api"].as_str().unwrap_or_default();
        let to = Address::resolve(&format!("{api}{}", floors::http::PATH))
            .await
            .map_err(ProductError::from)?;
        Ok(Self { program, to })
    }
}

/// The scripts for one number of connections. Chains go on from round to round.
struct Rounds {
    targets: [(Address, Vec<Script>); 4],
}

impl Rounds {
    async fn prepare(
        server: &Product,
        echo: &Echo,
        users: &Arc<AtomicU64>,
        connections: usize,
    ) -> Result<Self, HttpError> {
        let sessions = server.sessions(connections, users).await?;
        let floor = Script::fixed(&script::head("POST", &echo.to, &[]), &floors::http::body());
        let mint = server.address("/auth/tokens").await?;
        let refresh = server.address("/auth/refresh").await?;
        let read = server.address("/auth/sessions").await?;
        let mints = vec![server.mint(&mint, users)?; connections];
        let chains = sessions
            .iter()
            .map(|session| product::refresh(&refresh, session))
            .collect::<Result<_, _>>()?;
        let reads = sessions
            .iter()
            .map(|session| product::read(&read, session))
            .collect();
        Ok(Self {
            targets: [
                (echo.to.clone(), vec![floor; connections]),
                (mint, mints),
                (refresh, chains),
                (read, reads),
            ],
        })
    }

    fn to(&self, request: Request) -> Address {
        self.targets[request as usize].0.clone()
    }

    fn scripts(&mut self, request: Request) -> &mut Vec<Script> {
        &mut self.targets[request as usize].1
    }
}

/// The figures of a run.
pub(crate) fn sample(outcome: &Outcome, with_database: bool) -> Sample {
    let millis = |quantile| outcome.latencies.quantile(quantile) as f64 / 1e6;
    Sample {
        rate: outcome.rate(),
        p50: millis(0.5),
        p99: millis(0.99),
        p999: millis(0.999),
        server_cpu: outcome.cpu_micros(0).unwrap_or_default(),
        database_cpu: if with_database {
            outcome.cpu_micros(1)
        } else {
            None
        },
        own_cpu: outcome.own_cpu_micros(),
        of_floor: None,
    }
}

/// What went wrong in a run, in a line.
pub fn describe(outcome: &Outcome) -> String {
    if outcome.errors.is_empty() {
        return "no reply at all".to_owned();
    }
    let errors: Vec<String> = outcome
        .errors
        .iter()
        .map(|(what, count)| format!("{count} × {what}"))
        .collect();
    errors.join(", ")
}
