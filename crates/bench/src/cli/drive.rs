//! Driving any server: chains of refreshes, or the same request again and again.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use clap::Args;

use super::{Failure, seconds};
use crate::load::reply::string_member;
use crate::load::script::ScriptError;
use crate::load::{Address, Chain, Outcome, Plan, Script, Wire, drive, script};
use crate::stats::figure;
use crate::{http, process};

pub(super) const REFRESH_HELP: &str = r#"Examples:

  ChatSDK, a session per connection:
    chatsdk-bench refresh --url http://127.0.0.1:5500/auth/refresh \
      --token-url http://127.0.0.1:5500/auth/tokens --token-header "x-api-key: csk_…" \
      --token-body '{"userId":"bench-{i}"}' --connections 64 --watch 1234

  An OAuth-like server, whose first tokens come from a sign-up:
    chatsdk-bench refresh --url 'http://127.0.0.1:9999/token?grant_type=refresh_token' \
      --field refresh_token --body '{"refresh_token":"{token}"}' \
      --token-url http://127.0.0.1:9999/signup \
      --token-body '{"email":"{i}@example.com","password":"correct horse {i}"}'

  Tokens at hand, one connection each:
    chatsdk-bench refresh --url http://127.0.0.1:5500/auth/refresh --token eyJ… --token eyJ…

An answer that is not 2xx, or that brings no new token, makes the run invalid and the exit status 1."#;

#[derive(Debug, Args)]
pub(super) struct Run {
    /// How many connections, one request in flight on each
    #[arg(long, value_name = "N", default_value_t = 64)]
    connections: usize,
    /// How long to count, after 0.3 s that are not counted
    #[arg(long, default_value = "2", value_parser = seconds)]
    seconds: Duration,
    /// The process whose CPU time, children included, and memory are told
    #[arg(long, value_name = "PID")]
    watch: Option<u32>,
}

#[derive(Debug, Args)]
pub(super) struct Refresh {
    /// The endpoint, http only
    #[arg(long)]
    url: String,
    /// The body of a refresh, with {token} where the token goes
    #[arg(long, default_value = r#"{"refreshToken":"{token}"}"#)]
    body: String,
    /// The member of a reply that holds the next token
    #[arg(long, value_name = "NAME", default_value = "refreshToken")]
    field: String,
    /// A header of a refresh, `name: value`
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// A first token; one per connection
    #[arg(long = "token", value_name = "TOKEN", conflicts_with = "token_url")]
    tokens: Vec<String>,
    /// Where a first token is got by POST, one per connection
    #[arg(long, value_name = "URL", required_unless_present = "tokens")]
    token_url: Option<String>,
    /// The body of that POST, with {i} for a number per connection
    #[arg(long, value_name = "BODY", default_value = r#"{"userId":"bench-{i}"}"#)]
    token_body: String,
    /// A header of that POST, `name: value`
    #[arg(long = "token-header", value_name = "HEADER")]
    token_headers: Vec<String>,
    #[command(flatten)]
    run: Run,
}

#[derive(Debug, Args)]
pub(super) struct Load {
    /// The endpoint, http only
    #[arg(long)]
    url: String,
    /// The method
    #[arg(long, default_value = "GET")]
    method: String,
    /// The body, if any; {i} in it becomes a number that no other request has
    #[arg(long, default_value = "")]
    body: String,
    /// A header, `name: value`
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    #[command(flatten)]
    run: Run,
}

impl Refresh {
    pub(super) async fn run(mut self) -> Result<(), Failure> {
        let to = Address::resolve(&self.url).await?;
        if let Some(url) = &self.token_url {
            self.tokens = first_tokens(&Address::resolve(url).await?, &self).await?;
        }
        let head = script::head("POST", &to, &self.headers);
        let chain = |token| {
            Ok(Script::Chain(Chain::new(
                &head,
                &self.body,
                &self.field,
                token,
            )?))
        };
        let scripts = std::mem::take(&mut self.tokens)
            .into_iter()
            .map(chain)
            .collect::<Result<Vec<_>, ScriptError>>()?;
        self.run.run(&to, scripts).await
    }
}

async fn first_tokens(to: &Address, refresh: &Refresh) -> Result<Vec<String>, Failure> {
    let head = script::head("POST", to, &refresh.token_headers);
    let mut wire = Wire::connect(to.socket).await?;
    let mut tokens = Vec::new();
    for number in 0..refresh.run.connections {
        let body = refresh
            .token_body
            .replace(script::NUMBER, &number.to_string());
        let reply = wire.exchange(Script::fixed(&head, &body).request()).await?;
        let token = string_member(reply.body, &refresh.field).ok_or_else(|| Failure::NoToken {
            status: reply.status,
            body: String::from_utf8_lossy(reply.body).into_owned(),
        })?;
        tokens.push(token.to_owned());
    }
    Ok(tokens)
}

impl Load {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let to = Address::resolve(&self.url).await?;
        let head = script::head(&self.method, &to, &self.headers);
        let script = if self.body.contains(script::NUMBER) {
            Script::numbered(&head, &self.body, Arc::new(AtomicU64::new(0)))?
        } else {
            Script::fixed(&head, &self.body)
        };
        let scripts = vec![script; self.run.connections];
        self.run.run(&to, scripts).await
    }
}

impl Run {
    pub(super) async fn run(&self, to: &Address, scripts: Vec<Script>) -> Result<(), Failure> {
        let plan = Plan {
            to: to.socket,
            scripts,
            warm_up: Duration::from_millis(300),
            window: self.seconds,
            watched: self.watch.into_iter().collect(),
        };
        let outcome = drive(plan).await?;
        if !outcome.is_valid() {
            let errors = http::describe(&outcome);
            return Err(Failure::Invalid {
                errors,
                sample: outcome.sample.unwrap_or_default(),
            });
        }
        println!("{}", told(&outcome));
        if let Some(pid) = self.watch {
            let memory = process::memory(pid)?;
            let mib = |kib: u64| figure(kib as f64 / 1024.0);
            println!(
                "resident {} MiB, at most {} MiB",
                mib(memory.resident),
                mib(memory.peak)
            );
        }
        Ok(())
    }
}

/// An outcome in two lines.
fn told(outcome: &Outcome) -> String {
    let millis = |quantile| figure(outcome.latencies.quantile(quantile) as f64 / 1e6);
    let cpu = outcome.cpu_micros(0).map_or_else(String::new, |micros| {
        format!("; {} µs of the watched CPU each", figure(micros))
    });
    format!(
        "{} connections: {} requests/s, p50 {} ms, p99 {} ms, p99.9 {} ms, at most {} ms\n{} µs of the generator's CPU each{cpu}",
        outcome.connections,
        figure(outcome.rate()),
        millis(0.5),
        millis(0.99),
        millis(0.999),
        figure(outcome.latencies.max() as f64 / 1e6),
        figure(outcome.own_cpu_micros()),
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::{Cli, Command};
    use crate::load::script::TOKEN;

    #[test]
    fn the_default_body_has_a_place_for_the_token() {
        let line = "chatsdk-bench refresh --url http://a/b --token x";
        let Command::Refresh(refresh) = Cli::try_parse_from(line.split(' ')).unwrap().command
        else {
            unreachable!()
        };
        assert!(refresh.body.contains(TOKEN));
    }
}
