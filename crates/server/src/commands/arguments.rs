//! Arguments that cannot be understood.

use std::ffi::OsStr;
use std::process::ExitCode;

use clap::error::ErrorKind;

use super::output::print_json;

/// The exit code of a command line that was not understood, as clap has it.
const MISUSE: u8 = 2;

/// Says what is wrong with the command line, for programs on standard output as well; or shows the help
/// that was asked for.
pub(super) fn refused(error: &clap::Error) -> ExitCode {
    let asked_for = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    if !asked_for && for_programs(std::env::args_os().skip(1)) {
        print_json(&serde_json::json!({
            "error": { "code": "invalid_argument", "detail": sentence(error) }
        }));
    }
    // Where there is nobody to tell, the exit code says it.
    let _ = error.print();
    if asked_for {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(MISUSE)
    }
}

/// Whether JSON lines were asked for, as far as that can be told of arguments that were not understood.
fn for_programs(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> bool {
    arguments
        .into_iter()
        .take_while(|argument| argument.as_ref() != "--")
        .any(|argument| argument.as_ref() == "--json")
}

/// The first paragraph of what clap says, on one line.
fn sentence(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "a subcommand is missing".into();
    }
    let text = error.render().to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<_> = first.split_whitespace().collect();
    let line = words.join(" ");
    line.strip_prefix("error: ")
        .map(str::to_owned)
        .unwrap_or(line)
}
