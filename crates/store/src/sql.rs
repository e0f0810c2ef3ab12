//! The text of a statement, its arguments and its rows, the same for both drivers.

use std::error::Error;
use std::str::FromStr;

use rusqlite::types::{ToSqlOutput, ValueRef};
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::StoreError;

/// One statement, in the words that both databases understand.
///
/// Arguments stand as `$1`, `$2`, … and must first appear in ascending order: SQLite numbers them by
/// first appearance, and would bind a text that says otherwise silently wrong. [`Sql::new`] refuses
/// such a text, and every statement is a `const`: it does not compile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sql(&'static str);

impl Sql {
    /// A statement whose arguments are in order.
    pub(crate) const fn new(text: &'static str) -> Self {
        assert!(
            ascending(text),
            "the $n of a statement must first appear in ascending order, without gaps"
        );
        Self(text)
    }

    /// The text as it is sent.
    pub(crate) const fn text(self) -> &'static str {
        self.0
    }
}

const fn ascending(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut highest = 0;
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'$' {
            at += 1;
            continue;
        }
        at += 1;
        let mut number = 0_u32;
        while at < bytes.len() && bytes[at].is_ascii_digit() {
            number = number * 10 + (bytes[at] - b'0') as u32;
            at += 1;
        }
        if number == 0 || number > highest + 1 {
            return false;
        }
        if number == highest + 1 {
            highest = number;
        }
    }
    true
}

/// One argument of a statement.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Arg<'a> {
    Null,
    Int(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl From<i64> for Arg<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<Option<i64>> for Arg<'_> {
    fn from(value: Option<i64>) -> Self {
        value.map_or(Self::Null, Self::Int)
    }
}

impl<'a> From<&'a str> for Arg<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<Option<&'a str>> for Arg<'a> {
    fn from(value: Option<&'a str>) -> Self {
        value.map_or(Self::Null, Self::Text)
    }
}

impl<'a> From<&'a [u8]> for Arg<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(value)
    }
}

impl rusqlite::ToSql for Arg<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Bytes(value) => ValueRef::Blob(value),
        }))
    }
}

impl ToSql for Arg<'_> {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match *self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(value) if *kind == Type::INT4 => i32::try_from(value)?.to_sql(kind, out),
            Self::Int(value) if *kind == Type::INT8 => value.to_sql(kind, out),
            Self::Text(value) if <&str as ToSql>::accepts(kind) => value.to_sql(kind, out),
            Self::Bytes(value) if *kind == Type::BYTEA => value.to_sql(kind, out),
            other => Err(format!("{other:?} was given where {kind} is wanted").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// One value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cell {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// One row, read from left to right in the order of the statement's columns.
#[derive(Debug)]
pub(crate) struct Row {
    cells: std::vec::IntoIter<Cell>,
    at: usize,
}

impl Row {
    fn new(cells: Vec<Cell>) -> Self {
        Self {
            cells: cells.into_iter(),
            at: 0,
        }
    }

    fn next(&mut self) -> Cell {
        self.at += 1;
        self.cells.next().unwrap_or(Cell::Null)
    }

    fn wrong(&self, why: &str) -> StoreError {
        StoreError::InvalidRow(format!("column {}: {why}", self.at))
    }

    /// The next column, a number.
    pub(crate) fn int(&mut self) -> Result<i64, StoreError> {
        self.maybe_int()?.ok_or_else(|| self.wrong("it is empty"))
    }

    /// The next column, a number or nothing.
    pub(crate) fn maybe_int(&mut self) -> Result<Option<i64>, StoreError> {
        match self.next() {
            Cell::Null => Ok(None),
            Cell::Int(value) => Ok(Some(value)),
            _ => Err(self.wrong("it is not a number")),
        }
    }

    /// The next column, text.
    pub(crate) fn text(&mut self) -> Result<String, StoreError> {
        self.maybe_text()?.ok_or_else(|| self.wrong("it is empty"))
    }

    /// The next column, text or nothing.
    pub(crate) fn maybe_text(&mut self) -> Result<Option<String>, StoreError> {
        match self.next() {
            Cell::Null => Ok(None),
            Cell::Text(value) => Ok(Some(value)),
            _ => Err(self.wrong("it is not text")),
        }
    }

    /// The next column, bytes.
    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>, StoreError> {
        match self.next() {
            Cell::Bytes(value) => Ok(value),
            _ => Err(self.wrong("it is not bytes")),
        }
    }

    /// The next column, text in which a `T` is written.
    pub(crate) fn parsed<T>(&mut self) -> Result<T, StoreError>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        let text = self.text()?;
        text.parse()
            .map_err(|why: T::Err| self.wrong(&why.to_string()))
    }

    /// The next column through `read`, a number that has to be more than a number.
    pub(crate) fn int_as<T>(
        &mut self,
        read: impl FnOnce(i64) -> Option<T>,
    ) -> Result<T, StoreError> {
        let value = self.int()?;
        read(value).ok_or_else(|| self.wrong("the number is out of bounds"))
    }

    /// The next column through `read`, where there is one.
    pub(crate) fn maybe_int_as<T>(
        &mut self,
        read: impl FnOnce(i64) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        self.maybe_int()?
            .map(|value| read(value).ok_or_else(|| self.wrong("the number is out of bounds")))
            .transpose()
    }

    pub(crate) fn from_sqlite(row: &rusqlite::Row<'_>, columns: usize) -> Result<Self, StoreError> {
        let mut cells = Vec::with_capacity(columns);
        for column in 0..columns {
            cells.push(match row.get_ref(column)? {
                ValueRef::Null => Cell::Null,
                ValueRef::Integer(value) => Cell::Int(value),
                ValueRef::Text(value) => Cell::Text(
                    str::from_utf8(value)
                        .map_err(|_| {
                            StoreError::InvalidRow(format!(
                                "column {}: it is not UTF-8",
                                column + 1
                            ))
                        })?
                        .to_owned(),
                ),
                ValueRef::Blob(value) => Cell::Bytes(value.to_owned()),
                ValueRef::Real(_) => {
                    return Err(StoreError::InvalidRow(format!(
                        "column {}: it is a fraction",
                        column + 1
                    )));
                }
            });
        }
        Ok(Self::new(cells))
    }

    pub(crate) fn from_postgres(row: &tokio_postgres::Row) -> Result<Self, StoreError> {
        let mut cells = Vec::with_capacity(row.len());
        for (at, column) in row.columns().iter().enumerate() {
            let kind = column.type_();
            cells.push(if *kind == Type::INT8 {
                row.try_get::<_, Option<i64>>(at)?
                    .map_or(Cell::Null, Cell::Int)
            } else if *kind == Type::INT4 {
                row.try_get::<_, Option<i32>>(at)?
                    .map_or(Cell::Null, |value| Cell::Int(value.into()))
            } else if *kind == Type::TEXT {
                row.try_get::<_, Option<String>>(at)?
                    .map_or(Cell::Null, Cell::Text)
            } else if *kind == Type::BYTEA {
                row.try_get::<_, Option<Vec<u8>>>(at)?
                    .map_or(Cell::Null, Cell::Bytes)
            } else {
                return Err(StoreError::InvalidRow(format!(
                    "column {}: it has the type {kind}",
                    at + 1
                )));
            });
        }
        Ok(Self::new(cells))
    }
}

/// The one row of `rows`, if there is any.
pub(crate) fn first(rows: Vec<Row>) -> Option<Row> {
    rows.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::ascending;

    #[test]
    fn arguments_first_appear_in_ascending_order() {
        assert!(ascending("SELECT 1"));
        assert!(ascending(
            "UPDATE t SET a = $1, b = $2 WHERE c = $1 AND d = $3"
        ));
        assert!(!ascending("SELECT $2, $1"), "SQLite would swap them");
        assert!(!ascending("SELECT $1, $3"), "a gap");
        assert!(!ascending("SELECT $"), "no number");
        assert!(ascending("VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11)"));
    }
}
