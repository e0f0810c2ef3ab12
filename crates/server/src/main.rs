//! The `chatsdk` binary: see the library for what it does.

use clap::Parser;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    chatsdk_server::commands::Cli::parse().run().await
}
