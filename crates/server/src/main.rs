//! The `chatsdk` binary: see the library for what it does.

/// A refresh is some forty small allocations that cross threads, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    match chatsdk_server::commands::Cli::from_arguments() {
        Ok(command) => command.run().await,
        Err(code) => code,
    }
}
