//! The tables, and how they came to be: forward only, each step once, in one transaction.
//!
//! A step is one file in `migrations/`, in words that both databases understand but for a few
//! placeholders, which [`Dialect`] lists. To change the tables, add a file and a line to [`STEPS`]; a
//! step that was released is never edited.

use crate::StoreError;

/// One step of the schema.
pub(crate) struct Step {
    pub(crate) version: i64,
    pub(crate) name: &'static str,
    text: &'static str,
}

/// Every step, in order; the version of a step is its place.
pub(crate) const STEPS: &[Step] = &[
    Step {
        version: 1,
        name: "tokens",
        text: include_str!("migrations/0001_tokens.sql"),
    },
    Step {
        version: 2,
        name: "disabled apps",
        text: include_str!("migrations/0002_disabled_apps.sql"),
    },
];

/// The version that this program brings a database to.
pub(crate) const LATEST: i64 = STEPS.len() as i64;

/// Where a database stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema {
    /// The version that it has; 0 for one that is empty.
    pub version: i64,
    /// The version that this program works with.
    pub latest: i64,
}

impl Schema {
    pub(crate) fn at(version: i64) -> Self {
        Self {
            version,
            latest: LATEST,
        }
    }

    /// Whether it is this program's version.
    pub fn is_current(self) -> bool {
        self.version == self.latest
    }
}

/// What a step's placeholders stand for.
pub(crate) type Dialect = &'static [(&'static str, &'static str)];

/// SQLite: strict tables, and no hidden row number where the key is not a number.
pub(crate) const SQLITE: Dialect = &[
    ("{{int}}", "INTEGER"),
    ("{{text}}", "TEXT"),
    ("{{bytes}}", "BLOB"),
    ("{{serial}}", "INTEGER PRIMARY KEY AUTOINCREMENT"),
    ("{{keyed}}", "STRICT, WITHOUT ROWID"),
    ("{{hot}}", "STRICT, WITHOUT ROWID"),
    ("{{logged}}", "STRICT"),
];

/// PostgreSQL: text sorts by its bytes, as SQLite's does; pages of the hot table keep room, so that an
/// update stays on its page and no index is touched.
pub(crate) const POSTGRES: Dialect = &[
    ("{{int}}", "BIGINT"),
    ("{{text}}", "TEXT COLLATE \"C\""),
    ("{{bytes}}", "BYTEA"),
    (
        "{{serial}}",
        "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    ),
    ("{{keyed}}", ""),
    ("{{hot}}", "WITH (fillfactor = 70)"),
    ("{{logged}}", ""),
];

/// The table that says which steps were taken.
pub(crate) const LEDGER: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (version {{int}} PRIMARY KEY, name {{text}} NOT NULL)";

/// The version of a database: the highest step taken.
pub(crate) const VERSION: &str = "SELECT coalesce(max(version), 0) FROM schema_migrations";

/// `text` in the words of one database.
pub(crate) fn translate(text: &str, dialect: Dialect) -> String {
    dialect
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// The text of `step`, and of the line in the ledger that remembers it.
pub(crate) fn script(step: &Step, dialect: Dialect) -> String {
    format!(
        "{};\nINSERT INTO schema_migrations (version, name) VALUES ({}, '{}');",
        translate(step.text, dialect),
        step.version,
        step.name
    )
}

/// The steps that a database of version `found` still needs.
pub(crate) fn missing(found: i64) -> Result<&'static [Step], StoreError> {
    usize::try_from(found)
        .ok()
        .and_then(|found| STEPS.get(found..))
        .ok_or(StoreError::NewerSchema {
            found,
            known: LATEST,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_numbered_by_their_place_and_leave_no_placeholder() {
        for (index, step) in STEPS.iter().enumerate() {
            assert_eq!(step.version, index as i64 + 1);
            for dialect in [SQLITE, POSTGRES] {
                assert!(!script(step, dialect).contains("{{"), "{}", step.name);
            }
        }
    }

    #[test]
    fn a_newer_database_is_refused() {
        assert_eq!(
            missing(LATEST + 1).map(<[Step]>::len),
            Err(StoreError::NewerSchema {
                found: LATEST + 1,
                known: LATEST
            })
        );
        assert_eq!(missing(LATEST).map(<[Step]>::len), Ok(0));
        assert_eq!(missing(0).map(<[Step]>::len), Ok(STEPS.len()));
    }
}
