//! Starting, hearing and ending a program that is measured.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a program may take to be ready, and to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a program could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It could not be started at all.
    #[error("cannot start {program}: {source}")]
    Start {
        /// What was to be started.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It ended, or said nothing in time, before the event came.
    #[error("{program} did not say `{event}`; its last words:\n{log}")]
    Silent {
        /// The program.
        program: String,
        /// The event that was waited for.
        event: String,
        /// The end of its log.
        log: String,
    },
    /// It did not end when it was asked to.
    #[error("{0} did not end when it was asked to")]
    Lingers(String),
}

/// A program that prints lines, JSON ones with a member `event` mostly. Killed when this is dropped.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    lines: Receiver<String>,
    log: PathBuf,
    started: Instant,
}

impl Program {
    /// Starts `command` with its standard error in the file `log`.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self, ProgramError> {
        let name = Path::new(command.get_program())
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let failed = |source| ProgramError::Start {
            program: name.clone(),
            source,
        };
        let errors = File::create(log).map_err(failed)?;
        let started = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .map_err(failed)?;
        let output = child.stdout.take();
        let (send, lines) = channel();
        // A thread, because a pipe cannot be read with a time limit, and because it must be emptied
        // for as long as the program runs.
        std::thread::spawn(move || {
            for line in output
                .map(BufReader::new)
                .into_iter()
                .flat_map(BufRead::lines)
                .map_while(Result::ok)
            {
                // Nobody listens any more once the program is being ended; reading goes on.
                let _ = send.send(line);
            }
        });
        Ok(Self {
            name,
            child,
            lines,
            log: log.to_owned(),
            started,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// When it was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Reads on until the line whose `event` is one of `events`.
    pub fn event(&self, events: &[&str]) -> Result<Value, ProgramError> {
        let until = Instant::now() + PATIENCE;
        while let Ok(line) = self
            .lines
            .recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            if let Ok(value) = serde_json::from_str::<Value>(&line)
                && value["event"]
                    .as_str()
                    .is_some_and(|event| events.contains(&event))
            {
                return Ok(value);
            }
        }
        Err(ProgramError::Silent {
            program: self.name.clone(),
            event: events.join("` or `"),
            log: self.last_words(),
        })
    }

    /// Reads on until the line that begins with `beginning`, and returns the rest of that.
    pub fn line(&self, beginning: &str) -> Result<String, ProgramError> {
        let until = Instant::now() + PATIENCE;
        while let Ok(line) = self
            .lines
            .recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            if let Some(rest) = line.strip_prefix(beginning) {
                return Ok(rest.to_owned());
            }
        }
        Err(ProgramError::Silent {
            program: self.name.clone(),
            event: beginning.to_owned(),
            log: self.last_words(),
        })
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(self) -> Result<(), ProgramError> {
        // kill(1) spares an unsafe call.
        let asked = Command::new("kill")
            .args(["-TERM", &self.pid().to_string()])
            .status();
        if !asked.is_ok_and(|status| status.success()) {
            return Err(ProgramError::Lingers(self.name.clone()));
        }
        let until = Instant::now() + PATIENCE;
        loop {
            // Its output closes when it ends.
            match self
                .lines
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {
                    return Err(ProgramError::Lingers(self.name.clone()));
                }
            }
        }
    }

    fn last_words(&self) -> String {
        let Ok(file) = File::open(&self.log) else {
            return String::new();
        };
        let mut last = VecDeque::new();
        for line in BufReader::new(file).lines().map_while(Result::ok) {
            if last.len() == 20 {
                last.pop_front();
            }
            last.push_back(line);
        }
        last.into_iter().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("chatsdk-bench-{}-{name}", std::process::id()))
    }

    fn shell(script: &str, name: &str) -> Program {
        Program::start(Command::new("sh").args(["-c", script]), &log(name)).unwrap()
    }

    #[test]
    fn an_event_is_found_among_other_lines() {
        let program = shell(
            "echo hello; echo '{\"event\":\"a\"}'; echo '{\"event\":\"b\",\"n\":1}'",
            "events",
        );
        assert_eq!(program.event(&["b", "c"]).unwrap()["n"], 1);
        let _ = std::fs::remove_file(log("events"));
    }

    #[test]
    fn a_line_is_found_by_its_beginning() {
        let program = shell("echo hello; echo listening on 127.0.0.1:1", "lines");
        assert_eq!(program.line("listening on ").unwrap(), "127.0.0.1:1");
        assert!(program.line("more").is_err(), "it has ended");
        let _ = std::fs::remove_file(log("lines"));
    }

    #[test]
    fn the_last_words_of_a_program_that_fails_are_told() {
        let program = shell("echo no such thing >&2; exit 1", "fails");
        let failure = program.event(&["ready"]).unwrap_err().to_string();
        assert!(failure.contains("no such thing"), "{failure}");
        let _ = std::fs::remove_file(log("fails"));
    }

    #[test]
    fn a_program_ends_when_it_is_asked_to() {
        let program = shell(
            "echo '{\"event\":\"ready\"}'; exec tail -f /dev/null",
            "ends",
        );
        program.event(&["ready"]).unwrap();
        program.stop().unwrap();
        let _ = std::fs::remove_file(log("ends"));
    }
}
