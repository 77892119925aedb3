//! How many isolates there are, and how much memory each may take.

use contract::env::{self, Settings};

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
    pub(crate) fn new(settings: &Settings) -> Self {
        let isolates = settings.number(&env::FUNC_WORKERS).map_or_else(cpus, |n| n as usize);
        let quantity = |row| settings.text(row).and_then(env::quantity).filter(|bytes| *bytes > 0);
        let memory = quantity(&env::FUNC_HEAP_LIMIT)
            .or_else(|| quantity(&env::FUNC_MEMORY_LIMIT).map(|bytes| share(bytes, isolates)))
            .unwrap_or(UNLIMITED);
        Self { isolates, memory: memory.max(LEAST) as usize }
    }
}

/// What the CPU quota allows, which the standard library reads from the control group.
fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// One isolate's part of the container's memory: half of it is for objects and half for ArrayBuffers.
fn share(container: u64, isolates: usize) -> u64 {
    container.saturating_sub(BESIDE) / isolates as u64 / 2
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn limits(more: &[(&'static str, &'static str)]) -> Limits {
        let mut variables = BTreeMap::from([("MOD_NAME", "a"), ("FUNC_HANDLER", "b"), ("FUNC_WORKERS", "2")]);
        variables.extend(more.iter().copied());
        Limits::new(&Settings::read("nodejs", &variables).unwrap())
    }

    #[test]
    fn the_containers_memory_is_shared_and_something_is_left_for_the_server() {
        let mebibytes = |n| n * MEBIBYTE as usize;
        assert_eq!(limits(&[("FUNC_MEMORY_LIMIT", "448Mi")]).memory, mebibytes(100));
        assert_eq!(limits(&[("FUNC_MEMORY_LIMIT", "64Mi")]).memory, mebibytes(16), "less would not start");
        for none in [&[][..], &[("FUNC_MEMORY_LIMIT", "0")]] {
            assert_eq!(limits(none), Limits { isolates: 2, memory: mebibytes(256) });
        }
    }

    #[test]
    fn the_heap_limit_of_its_own_wins() {
        let limits = limits(&[("FUNC_MEMORY_LIMIT", "448Mi"), ("FUNC_HEAP_LIMIT", "64Mi")]);
        assert_eq!(limits.memory, 64 << 20);
    }
}
