//! Deno's own cryptography asks for an older version of these bindings than the TLS beside it. Both are compiled from some
//! hundred thousand lines of C, and one of them does for both.

pub use linked::*;
