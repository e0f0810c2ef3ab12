//! The token that opens `/admin`, and where it comes from.
//!
//! `CHATSDK_OPERATOR_TOKEN` is fixed for the life of the process. The file `operator-token` in the data
//! directory is made at the first start and read anew at each call, so that replacing it rotates the token
//! at once.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use chatsdk_types::{Entropy, entropy};
use subtle::ConstantTimeEq;

/// The environment variable.
pub const ENVIRONMENT: &str = "CHATSDK_OPERATOR_TOKEN";

/// The name of the file in the data directory.
const FILE: &str = "operator-token";

/// The shortest token that is used, in characters.
const MIN_LEN: usize = 32;

/// The longest, which bounds what is read of the file.
const MAX_LEN: usize = 512;

/// Why there is no operator token.
#[derive(Debug, thiserror::Error)]
pub enum OperatorTokenError {
    /// It is too weak, or cannot stand in a header.
    #[error(
        "the operator token ({place}) cannot be used: it has to be {MIN_LEN} to {MAX_LEN} visible characters of ASCII, such as `openssl rand -hex 32` prints"
    )]
    Bad {
        /// Where it was read.
        place: String,
    },
    /// There is none.
    #[error(
        "there is no operator token: neither {ENVIRONMENT} nor {path}, which `chatsdk serve` makes at its first start"
    )]
    Missing {
        /// The file that is not there.
        path: String,
    },
    /// Its file cannot be read or written.
    #[error("the operator token's file {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// The operator token, or where it stands. Nothing shows the token itself.
#[derive(Clone)]
pub struct OperatorToken(Place);

#[derive(Clone)]
enum Place {
    Environment(Box<str>),
    File(PathBuf),
}

impl OperatorToken {
    /// That of the environment variable, whose value is `text`.
    pub fn given(text: &str) -> Result<Self, OperatorTokenError> {
        let token = usable(text, || ENVIRONMENT.to_owned())?;
        Ok(Self(Place::Environment(token.into())))
    }

    /// That of the file in `data_dir`, which is made where there is none.
    pub fn open(data_dir: &Path, chance: &dyn Entropy) -> Result<Self, OperatorTokenError> {
        let path = data_dir.join(FILE);
        create(&path, chance).map_err(|source| failed(&path, source))?;
        read(&path)?;
        if exposed(&path) {
            tracing::warn!(
                "{} can be read by others than its owner; `chmod 600` it, and replace the token",
                path.display()
            );
        }
        Ok(Self(Place::File(path)))
    }

    /// The token as text, for a command that calls the server.
    pub fn find(data_dir: &Path, env: Option<&str>) -> Result<String, OperatorTokenError> {
        match env {
            Some(text) => usable(text, || ENVIRONMENT.to_owned()).map(str::to_owned),
            None => read(&data_dir.join(FILE)),
        }
    }

    /// Whether `presented` is the token, as it is now. Nobody has the right one while its file is gone or
    /// holds something else.
    pub fn admits(&self, presented: &str) -> bool {
        let is = |token: &str| bool::from(token.as_bytes().ct_eq(presented.as_bytes()));
        match &self.0 {
            Place::Environment(token) => is(token),
            Place::File(path) => match read(path) {
                Ok(token) => is(&token),
                Err(error) => {
                    tracing::warn!("nobody is let in to /admin: {error}");
                    false
                }
            },
        }
    }
}

impl fmt::Debug for OperatorToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match &self.0 {
            Place::Environment(_) => ENVIRONMENT.to_owned(),
            Place::File(path) => path.display().to_string(),
        };
        f.debug_tuple("OperatorToken").field(&place).finish()
    }
}

fn usable(text: &str, place: impl FnOnce() -> String) -> Result<&str, OperatorTokenError> {
    let token = text.trim();
    let fits = (MIN_LEN..=MAX_LEN).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_graphic());
    if fits {
        Ok(token)
    } else {
        Err(OperatorTokenError::Bad { place: place() })
    }
}

fn read(path: &Path) -> Result<String, OperatorTokenError> {
    use std::io::Read;

    let mut text = String::new();
    let limit = MAX_LEN as u64 + 64;
    let outcome =
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text));
    match outcome {
        Ok(_) => usable(&text, || path.display().to_string()).map(str::to_owned),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(OperatorTokenError::Missing {
            path: path.display().to_string(),
        }),
        Err(error) => Err(failed(path, error)),
    }
}

fn failed(path: &Path, source: io::Error) -> OperatorTokenError {
    OperatorTokenError::File {
        path: path.display().to_string(),
        source,
    }
}

/// Whether others than the owner may read the file.
fn exposed(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0)
}

/// Writes a new token, readable by its owner alone, whole or not at all. One that is there already stays.
fn create(path: &Path, chance: &dyn Entropy) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    writeln!(file, "{}", generate(chance))?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&fresh, path);
    std::fs::remove_file(&fresh)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// 256 random bits, behind what says what they are.
fn generate(chance: &dyn Entropy) -> String {
    let bytes = entropy::bytes::<32>(chance);
    let digits = bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(u32::from(digit), 16));
    "cso_".chars().chain(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatsdk_types::SystemEntropy;

    fn open(dir: &Path) -> OperatorToken {
        OperatorToken::open(dir, &SystemEntropy).unwrap()
    }

    #[test]
    fn a_file_is_made_once_and_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let token = open(dir.path());
        let path = dir.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("cso_") && text.trim().len() == 68);
        assert!(!exposed(&path));
        assert!(token.admits(text.trim()) && !token.admits(&text) && !token.admits(""));
        open(dir.path());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        assert_eq!(OperatorToken::find(dir.path(), None).unwrap(), text.trim());
        let files = std::fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(files, 1, "nothing is left over");
    }

    #[test]
    fn replacing_the_file_rotates() {
        let dir = tempfile::tempdir().unwrap();
        let token = open(dir.path());
        let path = dir.path().join(FILE);
        let old = std::fs::read_to_string(&path).unwrap();
        let new = "n".repeat(40);
        std::fs::write(&path, format!("{new}\n")).unwrap();
        assert!(token.admits(&new) && !token.admits(old.trim()));
        for unusable in ["", "short", &"x".repeat(5000)] {
            std::fs::write(&path, unusable).unwrap();
            assert!(!token.admits(unusable) && !token.admits(&new), "{unusable}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(!token.admits(&new) && !token.admits(""));
    }

    #[test]
    fn the_environment_stands_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let text = "e".repeat(32);
        let token = OperatorToken::given(&text).unwrap();
        assert!(token.admits(&text) && !token.admits(&text[1..]));
        assert!(!format!("{token:?}").contains(&text), "it is never shown");
        for weak in ["", "short", &"ä".repeat(40)] {
            let error = OperatorToken::given(weak).unwrap_err().to_string();
            assert!(error.contains(ENVIRONMENT), "{error}");
        }
        open(dir.path());
        let found = OperatorToken::find(dir.path(), Some(&text)).unwrap();
        assert_eq!(found, text);
        std::fs::remove_file(dir.path().join(FILE)).unwrap();
        let error = OperatorToken::find(dir.path(), None).unwrap_err();
        assert!(matches!(error, OperatorTokenError::Missing { .. }));
    }
}
