//! The limits of the container, for Go's scheduler and garbage collector.
//!
//! Go reads its environment when the library is opened, from the process's own block, so variables set by then come
//! too late; and Go learns of CPU quotas by itself only when the function's `go.mod` is new enough. So the numbers are
//! worked out here, by the same rule for every function, and handed over when the plugin starts.

use contract::Share;

const MEBIBYTE: u64 = 1 << 20;

/// For `GOMAXPROCS`, by Go's own rule for quotas: rounded up, and not below 2, so that one busy goroutine does not hold
/// up all others. 0 leaves it to Go, which also sees to it that it is not more than there are CPUs.
pub(crate) fn max_procs(share: &Share) -> u32 {
    share.cpus.map_or(0, |quota| (quota.ceil() as u32).max(2))
}

/// For `GOMEMLIMIT`: what the server needs beside Go is left out. 0 is no limit.
pub(crate) fn memory(share: &Share) -> i64 {
    let Some(memory) = share.memory else { return 0 };
    let others = (memory / 10).max(16 * MEBIBYTE).min(memory / 2);
    i64::try_from(memory - others).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_gets_at_least_two_processors_and_leaves_memory_for_the_server() {
        let share = |cpus, memory| Share { cpus: Some(cpus), memory: Some(memory), isolates: 1 };
        assert_eq!(max_procs(&share(0.1, 0)), 2);
        assert_eq!(max_procs(&share(2.1, 0)), 3);
        assert_eq!(memory(&share(1.0, 16 * MEBIBYTE)), 8 << 20);
        assert_eq!(memory(&share(1.0, 64 * MEBIBYTE)), 48 << 20);
        assert_eq!(memory(&share(1.0, 1000 * MEBIBYTE)), 900 << 20);
        assert_eq!((max_procs(&Share::default()), memory(&Share::default())), (0, 0));
    }
}
