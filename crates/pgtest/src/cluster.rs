//! One server, in a directory of its own, on a free port of the loopback interface.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::{find, fresh_name};

/// How it is started, kept and ended: see there.
const SCRIPT: &str = include_str!("cluster.sh");

/// How often another port is tried where someone else took the one that was free a moment ago.
const ATTEMPTS: usize = 5;

/// A PostgreSQL server that ends when this is dropped, and with the process in any case.
#[derive(Debug)]
pub struct Cluster {
    port: u16,
    directory: PathBuf,
    keeper: Mutex<Keeper>,
}

/// The process that keeps the server, until its standard input closes.
#[derive(Debug)]
struct Keeper {
    process: Child,
    orders: Option<ChildStdin>,
    answers: Option<BufReader<ChildStdout>>,
}

/// What a server needs to speak TLS, in PEM.
struct Tls {
    certificate: String,
    key: String,
}

impl Cluster {
    /// Starts a server with the settings `options`, each `name=value`.
    ///
    /// # Panics
    /// Where PostgreSQL is missing or does not start.
    pub async fn start(options: &[&str]) -> Self {
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        Self::start_with(options, None).await
    }

    /// Starts a server that speaks TLS with the PEM files `certificate` and `key`.
    ///
    /// # Panics
    /// Where they cannot be read, and where PostgreSQL is missing or does not start.
    pub async fn encrypted(certificate: &Path, key: &Path) -> Self {
        let read = |path: &Path| {
            std::fs::read_to_string(path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let tls = Tls {
            certificate: read(certificate),
            key: read(key),
        };
        Self::start_with(Vec::new(), Some(tls)).await
    }

    /// Whether the connection of the program that calls itself `program` is encrypted; `None` where there
    /// is no such connection.
    ///
    /// # Panics
    /// Where the server does not answer.
    pub async fn is_encrypted(&self, program: &str) -> Option<bool> {
        let (client, connection) =
            tokio_postgres::connect(&self.url("postgres"), tokio_postgres::NoTls)
                .await
                .unwrap_or_else(|error| panic!("PostgreSQL does not answer: {error}"));
        let connection = tokio::spawn(connection);
        let row = client
            .query_opt(
                "SELECT s.ssl FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid)
                 WHERE a.application_name = $1 LIMIT 1",
                &[&program],
            )
            .await
            .unwrap_or_else(|error| panic!("PostgreSQL does not say: {error}"));
        drop(client);
        let _ = connection.await;
        row.map(|row| row.get(0))
    }

    async fn start_with(options: Vec<String>, tls: Option<Tls>) -> Self {
        tokio::task::spawn_blocking(move || Self::start_now(&options, tls.as_ref()))
            .await
            .unwrap_or_else(|failed| panic!("PostgreSQL did not start: {failed}"))
    }

    fn start_now(options: &[String], tls: Option<&Tls>) -> Self {
        let bin = find::binaries();
        (0..ATTEMPTS)
            .find_map(|_| Self::attempt(&bin, options, tls))
            .unwrap_or_else(|| panic!("PostgreSQL did not start; its log stands above"))
    }

    fn attempt(bin: &Path, options: &[String], tls: Option<&Tls>) -> Option<Self> {
        let port = free_port();
        let mut command = as_its_user();
        if let Some(tls) = tls {
            // Its user may not be allowed to read the files.
            command
                .env("TLS_CERTIFICATE", &tls.certificate)
                .env("TLS_KEY", &tls.key);
        }
        let mut process = command
            .args(["sh", "-c", SCRIPT, "cluster.sh"])
            .arg(bin)
            .arg(port.to_string())
            .args(["max_connections=400", "shared_buffers=64MB"])
            .args(options)
            .current_dir("/")
            // A Ctrl-C in the terminal must not reach it before the tests: they end it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("PostgreSQL cannot be started: {error}"));
        let mut keeper = Keeper {
            orders: process.stdin.take(),
            answers: process.stdout.take().map(BufReader::new),
            process,
        };
        let directory = keeper.answer()?;
        (keeper.answer()? == "ready").then(|| Self {
            port,
            directory: directory.into(),
            keeper: Mutex::new(keeper),
        })
    }

    /// The URL of a new, empty database.
    ///
    /// # Panics
    /// Where the server refuses it.
    pub async fn database(&self) -> String {
        let name = fresh_name();
        self.run("postgres", &format!("CREATE DATABASE {name}"))
            .await;
        self.url(&name)
    }

    /// The URL of the database `name`.
    pub fn url(&self, name: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }

    /// Where the server keeps its files; only its own user may look inside.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Ends the server as a crash would: nobody is told, nothing is finished.
    ///
    /// # Panics
    /// Where the process that keeps it is gone.
    pub fn crash(&self) {
        self.order("stop", "stopped");
    }

    /// Starts the server again where it was.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn restart(&self) {
        self.order("start", "ready");
    }

    /// Stops the server's processes where they are. Its connections stay, and new ones are taken, by the kernel.
    ///
    /// # Panics
    /// Where the process that keeps it is gone.
    pub fn freeze(&self) {
        self.order("freeze", "frozen");
    }

    /// Lets the processes that were stopped go on.
    ///
    /// # Panics
    /// Where the process that keeps it is gone.
    pub fn thaw(&self) {
        self.order("thaw", "thawed");
    }

    fn order(&self, word: &str, done: &str) {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = keeper
            .orders
            .as_mut()
            .is_some_and(|orders| writeln!(orders, "{word}").is_ok());
        assert!(
            sent && keeper.answer().as_deref() == Some(done),
            "PostgreSQL did not {word}"
        );
    }

    async fn run(&self, database: &str, sql: &str) {
        let url = self.url(database);
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
            .await
            .unwrap_or_else(|error| panic!("PostgreSQL does not answer: {error}"));
        let connection = tokio::spawn(connection);
        client
            .batch_execute(sql)
            .await
            .unwrap_or_else(|error| panic!("PostgreSQL refuses `{sql}`: {error}"));
        drop(client);
        // How the connection ended is of no interest: the statement was answered.
        let _ = connection.await;
    }
}

impl Keeper {
    fn answer(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.answers.as_mut()?.read_line(&mut line).ok()?;
        (read > 0).then(|| line.trim_end().to_owned())
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // The end of its input is the order to clean up.
        self.orders = None;
        let _ = self.process.wait();
    }
}

/// PostgreSQL refuses to run as root: there it runs as the user that its package made.
fn as_its_user() -> Command {
    let root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if root {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
        command
    } else {
        Command::new("env")
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .unwrap_or_else(|error| panic!("no free port: {error}"))
        .port()
}
