//! Opening the file: what a connection is set to, whose file it is, and migrations.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::{Schema, StoreError, migrations};

/// "CSDK": what our files carry in their header, so that no other file is taken for one.
const APPLICATION_ID: i64 = 0x4353_444b;

/// How long a connection waits for another process, a command beside the server, to let go.
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// How many statements a connection keeps prepared.
const STATEMENTS: usize = 96;

/// Creates the file where there is none, checks whose it is, and migrates it. Answers with the write
/// connection and the version that was found.
pub(super) fn writer(path: &Path) -> Result<(Connection, i64), StoreError> {
    create(path)?;
    let mut connection = plain(path)?;
    check_owner(&mut connection, path)?;
    journal_in_wal(&connection)?;
    // Room for what is written over and over; the readers keep less, and the page cache of the system
    // stands behind all of them.
    connection.pragma_update(None, "cache_size", -8_192)?;
    let found = migrate(&mut connection)?;
    Ok((connection, found))
}

/// A connection that writes, as every one of ours is set.
pub(super) fn plain(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    prepared_once(&connection)?;
    // Every commit reaches the disk before it is answered. Checkpoints are another thread's.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "cache_size", -512)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    // After a burst the log gives its space back.
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    Ok(connection)
}

/// Keeps statements prepared. Without the stability guarantee the planner may look at a bound value, as it
/// does where a table has a partial index, and then every new value prepares the statement again: that
/// was two fifths of the CPU of a refresh.
fn prepared_once(connection: &Connection) -> Result<(), StoreError> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// A connection that only reads. The file is there and ours.
pub(super) fn reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    prepared_once(&connection)?;
    connection.pragma_update(None, "cache_size", -1_024)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

/// Where the file at `path` stands; version 0 where there is none.
pub(super) fn inspect(path: &Path) -> Result<Schema, StoreError> {
    if !path.exists() {
        return Ok(Schema::at(0));
    }
    let mut connection = reader(path)?;
    check_owner(&mut connection, path)?;
    Ok(Schema::at(version(&connection)?))
}

/// The file holds hashes and sealed keys: only its owner may read it. SQLite gives the files beside it
/// the same mode.
fn create(path: &Path) -> Result<(), StoreError> {
    match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::Location(format!("{}: {error}", path.display()))),
    }
}

fn check_owner(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let foreign = || StoreError::Foreign(path.display().to_string());
    let look = |connection: &mut Connection| -> rusqlite::Result<(i64, i64)> {
        // One transaction, because another process may be creating the tables at this moment.
        let look = connection.transaction()?;
        let owner = look.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let tables = look.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((owner, tables))
    };
    let (owner, tables) = look(connection).map_err(|error| match StoreError::from(error) {
        StoreError::Foreign(_) => foreign(),
        other => other,
    })?;
    if owner == APPLICATION_ID || (owner == 0 && tables == 0) {
        Ok(())
    } else {
        Err(foreign())
    }
}

/// Puts the file into WAL mode. That needs the file alone for a moment, and SQLite does not wait for
/// it by itself where two processes open a new file at once.
fn journal_in_wal(connection: &Connection) -> Result<(), StoreError> {
    let mut attempts = 0;
    loop {
        match connection
            .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))
        {
            Ok(mode) if mode.eq_ignore_ascii_case("wal") => return Ok(()),
            Ok(mode) => {
                return Err(StoreError::Location(format!(
                    "the file system allows only the journal mode {mode}, and a write-ahead log is needed"
                )));
            }
            Err(error) => match StoreError::from(error) {
                StoreError::Unavailable(_) if attempts < 100 => {
                    attempts += 1;
                    std::thread::sleep(Duration::from_millis(20));
                }
                other => return Err(other),
            },
        }
    }
}

fn version(connection: &Connection) -> Result<i64, StoreError> {
    let ledgers: i64 = connection.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_migrations'",
        [],
        |row| row.get(0),
    )?;
    if ledgers == 0 {
        return Ok(0);
    }
    Ok(connection.query_row(migrations::VERSION, [], |row| row.get(0))?)
}

fn migrate(connection: &mut Connection) -> Result<i64, StoreError> {
    let found = version(connection)?;
    if migrations::missing(found)?.is_empty() {
        return Ok(found);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Someone else may have migrated while this process waited for the lock.
    let found = version(&transaction)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.execute_batch(&migrations::translate(
        migrations::LEDGER,
        migrations::SQLITE,
    ))?;
    for step in migrations::missing(found)? {
        transaction.execute_batch(&migrations::script(step, migrations::SQLITE))?;
    }
    transaction.commit()?;
    Ok(found)
}
