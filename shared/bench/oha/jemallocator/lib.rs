//! The system's allocator, where oha asks for jemalloc.

pub use std::alloc::System as Jemalloc;
