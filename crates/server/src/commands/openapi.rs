//! `chatsdk openapi`: the API's description, for programs.

use clap::Args;

use super::output::{Failure, print_line};

/// Print the OpenAPI document.
#[derive(Debug, Args)]
pub(crate) struct Openapi {
    /// Print the reference page of error codes instead
    #[arg(long)]
    errors: bool,
    /// Print the reference page of metrics instead
    #[arg(long, conflicts_with = "errors")]
    metrics: bool,
}

impl Openapi {
    #[expect(clippy::unnecessary_wraps, reason = "all commands end alike")]
    pub(super) fn run(self) -> Result<(), Failure> {
        let document = if self.errors {
            chatsdk_api::errors_reference()
        } else if self.metrics {
            crate::measures::reference()
        } else {
            chatsdk_api::openapi()
        };
        print_line(document.trim_end());
        Ok(())
    }
}
