//! `chatsdk config`: the settings in force.

use clap::Args;
use serde_json::json;

use super::Global;
use super::output::{Failure, print_json, print_line};
use crate::config::{Config, SETTINGS, Setting};

/// Print the settings in force and where each comes from.
#[derive(Debug, Args)]
pub(crate) struct ConfigCommand {
    /// Print the reference page of all settings instead
    #[arg(long)]
    reference: bool,
}

impl ConfigCommand {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        if self.reference && global.json {
            for Setting {
                key,
                env,
                default,
                doc,
            } in SETTINGS
            {
                print_json(&json!({ "key": key, "env": env, "default": default, "about": doc }));
            }
            return Ok(());
        }
        if self.reference {
            print_line(crate::config::reference().trim_end());
            return Ok(());
        }
        let layers = global.layers()?;
        for (setting, value, source) in layers.iter() {
            // A database's address may hold its password.
            let value = if setting.key == "database_url" {
                redact(value)
            } else {
                value.to_owned()
            };
            if global.json {
                print_json(
                    &json!({ "key": setting.key, "value": value, "source": source.to_string() }),
                );
            } else {
                print_line(&format!("{} = {value:?}  # {source}", setting.key));
            }
        }
        Config::parse(&layers)?;
        Ok(())
    }
}

/// The address without the password in it.
fn redact(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let Some((login, host)) = rest.rsplit_once('@') else {
        return url.to_owned();
    };
    match login.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:…@{host}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn passwords_are_not_printed() {
        assert_eq!(
            redact("postgres://chat:s3cr@t@db/chat"),
            "postgres://chat:…@db/chat"
        );
        assert_eq!(redact("postgres://chat@db/chat"), "postgres://chat@db/chat");
        assert_eq!(redact("sqlite:data/x.db"), "sqlite:data/x.db");
    }
}
