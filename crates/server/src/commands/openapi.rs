//! `chatsdk openapi`: the API's description, for programs.

use clap::Args;

use super::output::{Failure, print_line};

/// Print the OpenAPI document.
#[derive(Debug, Args)]
pub(crate) struct Openapi {}

impl Openapi {
    #[expect(clippy::unnecessary_wraps, reason = "all commands end alike")]
    pub(super) fn run(self) -> Result<(), Failure> {
        print_line(&chatsdk_api::openapi());
        Ok(())
    }
}
