//! The only crate with SQL: SQLite and PostgreSQL behind one surface, and their migrations.
