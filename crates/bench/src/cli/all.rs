//! Measuring everything, and writing the page.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use super::product::{Product, canonical};
use crate::machine::{Machine, Ticks};
use crate::page::{self, Findings};
use crate::{clients, crypto, footprint, http, million, realtime};

#[derive(Debug, Args)]
pub(super) struct All {
    /// The realtime engine to measure, built with `cargo build --release -p chatsdk-realtime --example pubsub`
    #[arg(long, value_name = "FILE", default_value = realtime::ENGINE)]
    engine: PathBuf,
    #[command(flatten)]
    product: Product,
    /// The file that the page is written to; without it, it is printed
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

impl All {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let (options, _scratch) = self.product.options()?;
        // Looked at before this run adds its own load.
        let machine = Machine::watched();
        let begin = Ticks::now();
        // Tokens and the process at rest first, while the machine is quiet.
        eprintln!("tokens");
        let crypto = crypto::pinned()?;
        eprintln!("at rest");
        let footprint = footprint::measure(&options.binary, &options.work).await?;
        let http = http::measure(&options).await?;
        let million = million::measure(
            &options.binary,
            &options.work,
            options.rounds,
            options.window,
        )
        .await?;
        let clients = clients::measure(
            &options.binary,
            &options.work,
            options.rounds,
            clients::CLIENTS,
        )
        .await?;
        let engine = canonical(&self.engine)?;
        let realtime = realtime::measure(&realtime::Options {
            product: Some(engine),
            peer: None,
            external: None,
            work: options.work.clone(),
            rounds: options.rounds,
            window: options.window,
            subscribers: vec![1_000, 10_000],
            others: true,
            wave: 10_000,
            idle: vec![10_000, 18_000],
        })
        .await?;
        let findings = Findings {
            machine,
            stolen: Ticks::now().since(begin).stolen(),
            command: command_line(),
            options,
            http,
            million,
            clients,
            realtime,
            crypto,
            footprint,
        };
        let page = page::page(&findings);
        match self.write {
            None => {
                println!("{page}");
                Ok(())
            }
            Some(path) => {
                std::fs::write(&path, page).map_err(|source| Failure::File { path, source })
            }
        }
    }
}

/// The command as it was typed, but for the place of the program.
fn command_line() -> String {
    let mut args = std::env::args();
    let program = args.next().unwrap_or_default();
    let name = Path::new(&program).file_name().map_or_else(
        || program.clone(),
        |name| name.to_string_lossy().into_owned(),
    );
    std::iter::once(name)
        .chain(args)
        .collect::<Vec<_>>()
        .join(" ")
}
