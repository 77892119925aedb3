//! No database: oha could keep its results in one, which it is not asked to, and SQLite takes long to compile.

use std::{fmt, path::Path};

/// There is no database.
#[derive(Debug)]
pub struct Error;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this oha was built without SQLite")
    }
}

impl std::error::Error for Error {}

/// Cannot be opened.
pub enum Connection {}

/// Cannot be begun.
pub enum Transaction {}

impl Connection {
    /// Fails.
    pub fn open(_: impl AsRef<Path>) -> Result<Self, Error> {
        Err(Error)
    }

    /// Is never called.
    pub fn execute<P>(&self, _: &str, _: P) -> Result<usize, Error> {
        match *self {}
    }

    /// Is never called.
    pub fn transaction(&mut self) -> Result<Transaction, Error> {
        match *self {}
    }
}

impl Transaction {
    /// Is never called.
    pub fn execute<P>(&self, _: &str, _: P) -> Result<usize, Error> {
        match *self {}
    }

    /// Is never called.
    pub fn commit(self) -> Result<(), Error> {
        match self {}
    }
}
