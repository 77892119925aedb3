//! In place of Deno's database of keys and values: `Deno.openKv` and what goes with it read as undefined. What is said here
//! of where the data would be is not looked at.

use std::any::Any;

deno_core::extension!(
    deno_kv,
    lazy_loaded_js = ["01_db.ts"],
    options = { handler: Box<dyn Any>, config: KvConfig },
    state = |_state, options| drop((options.handler, options.config)),
);

/// Bounds of keys and values: there are none.
#[derive(Clone, Copy, Debug)]
pub struct KvConfig;

impl KvConfig {
    /// Begins one.
    #[must_use]
    pub fn builder() -> Self {
        Self
    }

    /// Ends it.
    #[must_use]
    pub fn build(self) -> Self {
        self
    }
}

/// Databases of several kinds.
pub mod dynamic {
    use std::path::PathBuf;

    use super::remote::HttpOptions;

    /// None of them.
    #[derive(Clone, Copy, Debug)]
    pub struct MultiBackendDbHandler;

    impl MultiBackendDbHandler {
        /// One that is behind HTTP or in a file.
        #[must_use]
        pub fn remote_or_sqlite(_folder: Option<PathBuf>, _seed: Option<u64>, _http: HttpOptions) -> Self {
            Self
        }
    }
}

/// Databases in a file.
pub mod sqlite {
    use std::path::PathBuf;

    /// None.
    #[derive(Clone, Copy, Debug)]
    pub struct SqliteDbHandler;

    impl SqliteDbHandler {
        /// One in this folder.
        #[must_use]
        pub fn new(_folder: Option<PathBuf>, _seed: Option<u64>) -> Self {
            Self
        }
    }
}

/// Databases behind HTTP.
pub mod remote {
    use std::{convert::Infallible, sync::Arc};

    use deno_tls::{RootCertStoreProvider, TlsKeys};

    /// How they would be reached.
    #[expect(missing_docs, missing_debug_implementations, reason = "nobody looks at them")]
    pub struct HttpOptions {
        pub user_agent: String,
        pub root_cert_store_provider: Option<Arc<dyn RootCertStoreProvider>>,
        pub unsafely_ignore_certificate_errors: Option<Vec<String>>,
        pub client_cert_chain_and_key: TlsKeys,
        pub proxy: Option<Infallible>,
    }
}
