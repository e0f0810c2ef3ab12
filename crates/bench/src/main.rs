//! The `chatsdk-bench` binary: see the library for what it does.

use clap::Parser;

fn main() -> std::process::ExitCode {
    chatsdk_bench::cli::Cli::parse().run()
}
