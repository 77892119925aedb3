//! What can go wrong when a plugin is opened, in words for the function's author.

use std::{io, path::Path};

use contract::LoadError;

use crate::ffi::ABI;

/// How opening a plugin fails.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// The dynamic linker refuses the file; its own words.
    Library(String),
    /// A shared library, but not one that `funchost-go build` made.
    NotAPlugin,
    /// Built for another version of the interface.
    Abi { plugin: u32 },
    /// A handler could not be set.
    Signals(io::Error),
    /// No descriptor left for the queue.
    Queue(io::Error),
}

impl OpenError {
    /// The sentence that ends the process.
    pub(crate) fn into_load_error(self, path: &Path) -> LoadError {
        let path = path.display();
        match self {
            Self::Library(reason) => LoadError::Runtime(format!("{path} cannot be opened: {reason}")),
            Self::NotAPlugin => LoadError::Runtime(format!(
                "{path} is a shared library, but not a function: it has no symbol funchost_abi. \
                 Build it with `funchost-go build`"
            )),
            Self::Abi { plugin } => {
                let advice = if plugin < ABI {
                    "build the function again with the `funchost-go build` of this release"
                } else {
                    "run it with the funchost-go that it was built with, or build it again with this one"
                };
                LoadError::Runtime(format!(
                    "{path} has version {plugin} of the plugin interface, this server has version {ABI}: {advice}"
                ))
            }
            Self::Signals(error) => {
                LoadError::Runtime(format!("cannot set handlers for SIGTERM and SIGINT: {error}"))
            }
            Self::Queue(error) => LoadError::Runtime(format!("no eventfd for the queue of calls: {error}")),
        }
    }
}
