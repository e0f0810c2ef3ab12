//! `chatsdk-simulator`: a population of clients for a month, in a minute.

use std::process::ExitCode;

use chatsdk_simulator::course;
use chatsdk_simulator::population::Scheme;
use chatsdk_types::SystemEntropy;
use chatsdk_types::entropy::bytes;
use clap::Parser;

/// Runs a population of clients against the server's rotation logic in virtual time.
#[derive(Debug, Parser)]
struct Arguments {
    /// What all chance follows from; drawn where it is left out.
    #[arg(long)]
    seed: Option<u64>,
    /// How many clients.
    #[arg(long, default_value_t = 1000)]
    clients: u64,
    /// For how many days.
    #[arg(long, default_value_t = 30)]
    days: i64,
    /// On how many threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// This client alone, telling on standard error what happens to it.
    #[arg(long)]
    client: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seed = arguments
        .seed
        .unwrap_or_else(|| u64::from_le_bytes(bytes::<8>(&SystemEntropy)));
    println!(
        "seed {seed}: {} clients, {} days",
        arguments.clients, arguments.days
    );
    let scheme = Scheme::new(seed, arguments.clients, arguments.days);
    let counts = match arguments.client {
        Some(client) => course::live(&scheme, client, true),
        None => scheme.run(arguments.threads),
    };
    print!("{counts}");
    if counts.is_clean() {
        ExitCode::SUCCESS
    } else {
        println!("seed {seed}");
        ExitCode::FAILURE
    }
}
