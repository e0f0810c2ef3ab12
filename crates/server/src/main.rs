//! The `chatsdk` binary: see the library for what it does.

use clap::Parser;

/// A refresh is some forty small allocations that cross threads, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    chatsdk_server::commands::Cli::parse().run().await
}
