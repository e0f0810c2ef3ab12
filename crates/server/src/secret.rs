//! Where the deployment secret comes from.

use std::io::Write;
use std::path::Path;

use chatsdk_auth::secret::DeploymentSecret;
use chatsdk_types::Entropy;

use crate::config::Config;

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Nodes that share a database have to share the secret.
    #[error(
        "a PostgreSQL database is shared by all nodes, and so is the secret that its keys are sealed with: set CHATSDK_SECRET to the same value everywhere, 32 characters of chance or more, such as `openssl rand -base64 32` prints"
    )]
    Required,
    /// The database knows one, and it is not here. A new one would sign everybody out.
    #[error(
        "the deployment secret is gone: this database was made with one, and there is neither CHATSDK_SECRET nor a file `secret` in the data directory; put it back"
    )]
    Gone,
    /// It is not one.
    #[error("the deployment secret ({place}) cannot be used: {why}")]
    Bad {
        /// Where it was read.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// Its file cannot be read or written.
    #[error("the deployment secret's file {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

/// The secret of the environment variable `CHATSDK_SECRET`, as `env` answers it, or of the file `secret` in
/// the data directory; `None` where neither is there and a file may be made.
pub fn find(config: &Config, env: Option<String>) -> Result<Option<DeploymentSecret>, SecretError> {
    if let Some(text) = env {
        return parse(&text, "CHATSDK_SECRET").map(Some);
    }
    if config.shared_database {
        return Err(SecretError::Required);
    }
    let path = config.data_dir.join("secret");
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&text, &path.display().to_string()).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(&path, error)),
    }
}

/// The secret that was in force before, of the environment variable `CHATSDK_SECRET_PREVIOUS`.
pub fn previous(env: Option<String>) -> Result<Option<DeploymentSecret>, SecretError> {
    env.map(|text| parse(&text, "CHATSDK_SECRET_PREVIOUS"))
        .transpose()
}

/// Makes the secret of a deployment whose database has not known one yet.
pub fn create(config: &Config, entropy: &dyn Entropy) -> Result<DeploymentSecret, SecretError> {
    let path = config.data_dir.join("secret");
    let text = write(&path, entropy).map_err(|error| failed(&path, error))?;
    parse(&text, &path.display().to_string())
}

fn parse(text: &str, place: &str) -> Result<DeploymentSecret, SecretError> {
    DeploymentSecret::parse(text.trim()).map_err(|error| SecretError::Bad {
        place: place.to_owned(),
        why: error.to_string(),
    })
}

fn failed(path: &Path, source: std::io::Error) -> SecretError {
    SecretError::File {
        path: path.display().to_string(),
        source,
    }
}

/// Writes a new secret, readable by its owner alone, whole or not at all. Where another process was
/// faster, its secret counts.
fn write(path: &Path, entropy: &dyn Entropy) -> std::io::Result<String> {
    use std::os::unix::fs::OpenOptionsExt;

    let text = DeploymentSecret::generate(entropy);
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&fresh, path);
    std::fs::remove_file(&fresh)?;
    match linked {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    if let Some(directory) = path.parent() {
        std::fs::File::open(directory)?.sync_all()?;
    }
    std::fs::read_to_string(path)
}
