//! How many isolates there are, and how much memory each may take.

use contract::{
    Share,
    env::{self, Settings},
};

const MEBIBYTE: u64 = 1 << 20;

/// What the process needs beside the memory of its isolates: code, the server, V8's threads.
const BESIDE: u64 = 48 * MEBIBYTE;
/// Deno's own scripts need this much heap before the function's first object.
const LEAST: u64 = 16 * MEBIBYTE;
/// Where no limit is known.
const UNLIMITED: u64 = 256 * MEBIBYTE;

/// For a thread that runs no JavaScript.
pub(crate) const SMALL_STACK: usize = 512 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Each on its own thread.
    pub(crate) isolates: usize,
    /// Bytes of the objects of one isolate, and as many again of its ArrayBuffers.
    pub(crate) memory: usize,
}

impl Limits {
    pub(crate) fn new(settings: &Settings, share: &Share) -> Self {
        // Half of an isolate's part is for objects and half for ArrayBuffers.
        let part = |all: u64| all.saturating_sub(BESIDE) / share.isolates as u64 / 2;
        let memory = settings.bytes(&env::FUNC_HEAP_LIMIT).or(share.memory.map(part)).unwrap_or(UNLIMITED);
        Self { isolates: share.isolates, memory: memory.max(LEAST) as usize }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn limits(memory: Option<u64>, heap: &'static str) -> Limits {
        let variables = BTreeMap::from([("MOD_NAME", "a"), ("FUNC_HANDLER", "b"), ("FUNC_HEAP_LIMIT", heap)]);
        let settings = Settings::read("nodejs", &variables).unwrap();
        Limits::new(&settings, &Share { memory, isolates: 2, ..Share::default() })
    }

    #[test]
    fn the_memory_is_shared_and_something_is_left_for_the_server() {
        let mebibytes = |n| n * MEBIBYTE as usize;
        assert_eq!(limits(Some(448 * MEBIBYTE), "0").memory, mebibytes(100));
        assert_eq!(limits(Some(64 * MEBIBYTE), "0").memory, mebibytes(16), "less would not start");
        assert_eq!(limits(None, "0"), Limits { isolates: 2, memory: mebibytes(256) });
    }

    #[test]
    fn the_heap_limit_of_its_own_wins() {
        assert_eq!(limits(Some(448 * MEBIBYTE), "64Mi").memory, 64 << 20);
    }
}
