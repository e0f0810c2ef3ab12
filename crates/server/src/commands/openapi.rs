//! `chatsdk openapi`: the API's description, for programs.

use chatsdk_types::ErrorCode;
use clap::Args;
use serde_json::json;

use super::Global;
use super::output::{Failure, print_json, print_line};

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
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        if global.json {
            self.lines();
            return Ok(());
        }
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

    /// The same, a line each: the document, the codes or the metrics.
    fn lines(&self) {
        if self.errors {
            for code in ErrorCode::ALL {
                print_json(&json!({
                    "code": code.as_str(),
                    "status": code.status(),
                    "endsSession": code.ends_session(),
                    "title": code.title(),
                    "hint": code.hint(),
                }));
            }
        } else if self.metrics {
            crate::measures::listed().for_each(|metric| print_json(&metric));
        } else {
            print_json(&chatsdk_api::openapi_value());
        }
    }
}
