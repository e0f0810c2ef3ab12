//! The `chatsdk` binary as a child process.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::actors::Backend;

/// `chatsdk serve`, ready.
#[derive(Debug)]
pub struct Process {
    child: Child,
    _out: Lines<BufReader<ChildStdout>>,
    /// The API listener.
    pub api: std::net::SocketAddr,
    /// The realtime listener.
    pub realtime: std::net::SocketAddr,
    /// The key of the first app, on a first start.
    pub key: Option<String>,
    /// The first app, on a first start.
    pub app: Option<String>,
    /// Where its log lines go.
    pub log: PathBuf,
}

/// The binary with a clean environment and a data directory.
pub fn chatsdk(binary: &Path, data_dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command
        .env_clear()
        .args(arguments)
        .arg("--data-dir")
        .arg(data_dir)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs a command to its end and answers the JSON lines that it printed.
pub async fn run(binary: &Path, data_dir: &Path, arguments: &[&str]) -> Vec<Value> {
    answered(chatsdk(binary, data_dir, arguments)).await
}

/// Runs a command that fails and answers `error` of the JSON line that says why.
pub async fn refused(binary: &Path, data_dir: &Path, arguments: &[&str]) -> Value {
    why(chatsdk(binary, data_dir, arguments)).await
}

/// What the command printed by its good end.
pub(crate) async fn printed(mut command: Command) -> String {
    let output = command.output().await.expect("the binary runs");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

/// The JSON lines that it printed by its good end.
pub(crate) async fn answered(mut command: Command) -> Vec<Value> {
    command.arg("--json");
    let text = printed(command).await;
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON lines"))
        .collect()
}

/// `error` of the JSON line in which it says why it failed.
pub(crate) async fn why(mut command: Command) -> Value {
    let output = command
        .arg("--json")
        .output()
        .await
        .expect("the binary runs");
    assert!(!output.status.success(), "{command:?} did not fail");
    let line: Value = serde_json::from_slice(&output.stdout).expect("one JSON line");
    line["error"].clone()
}

/// Starts `chatsdk serve` on free ports and waits until it is ready.
pub async fn serve(
    binary: &Path,
    data_dir: &Path,
    environment: &[(&str, &str)],
    arguments: &[&str],
) -> Process {
    let log = data_dir.join("server.log");
    let errors = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(&log)
        .expect("a log file");
    let mut child = chatsdk(
        binary,
        data_dir,
        &[
            "serve",
            "--json",
            "--listen",
            "127.0.0.1:0",
            "--realtime-listen",
            "127.0.0.1:0",
        ],
    )
    .args(arguments)
    .envs(environment.iter().copied())
    .stdout(Stdio::piped())
    .stderr(errors)
    .spawn()
    .expect("the binary runs");
    let mut out = BufReader::new(child.stdout.take().expect("standard output")).lines();
    let (mut key, mut app) = (None, None);
    while let Some(line) = out.next_line().await.expect("standard output") {
        let line: Value = serde_json::from_str(&line).expect("JSON lines");
        let text = |name: &str| line[name].as_str().map(str::to_owned);
        match line["event"].as_str() {
            Some("created") => (key, app) = (text("apiKey"), text("appId")),
            Some("ready") => {
                let address = |name, prefix| {
                    let url = text(name).expect("an address");
                    let rest = url.strip_prefix(prefix).expect("its scheme").to_owned();
                    rest.split('/')
                        .next()
                        .expect("a host")
                        .parse()
                        .expect("an address")
                };
                return Process {
                    api: address("api", "http://"),
                    realtime: address("realtime", "ws://"),
                    child,
                    _out: out,
                    key,
                    app,
                    log,
                };
            }
            other => panic!("an event that is not documented: {other:?}"),
        }
    }
    let mut said = String::new();
    if let Ok(file) = tokio::fs::File::open(&log).await {
        let mut file = file;
        file.read_to_string(&mut said).await.expect("the log");
    }
    panic!("the server ended before it was ready: {said}");
}

impl Process {
    /// The backend of the first app, on a first start.
    pub fn backend(&self) -> Backend {
        let key = self.key.clone().expect("a first start shows a key");
        Backend {
            address: self.api,
            key,
        }
    }

    /// The backend of the app whose key a command has shown as `key`.
    pub fn backend_of(&self, key: &Value) -> Backend {
        Backend {
            address: self.api,
            key: key.as_str().expect("a key").to_owned(),
        }
    }

    /// Kills it as a power cut would, and waits until it is gone.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("a process");
    }

    /// Asks it to end, and waits until it has: its files are whole then.
    pub async fn end(mut self) {
        let asked = Command::new("kill")
            .args(["-TERM", &self.id().to_string()])
            .status()
            .await;
        assert!(asked.expect("kill runs").success());
        assert!(self.wait().await.success(), "a graceful end");
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Waits until it has ended by itself.
    pub async fn wait(&mut self) -> std::process::ExitStatus {
        self.child.wait().await.expect("a process")
    }
}
