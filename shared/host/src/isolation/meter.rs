//! What calls cost.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::limits::own_cpu;

/// The process's time is not asked for again so soon while calls overlap: that takes a microsecond or more, and there
/// are many calls. What it was meanwhile goes to those that run when it is asked for.
const FRESH: Duration = Duration::from_micros(100);

/// Shares the processor time of the process out among the calls that run: each time one begins or ends, what was taken
/// since the last time is divided by their number. A call alone is charged exactly what it takes.
#[derive(Debug, Default)]
pub(super) struct Meter(Mutex<Shares>);

#[derive(Debug, Default)]
struct Shares {
    running: u32,
    /// The process's time when it was last looked at.
    seen: Duration,
    /// When that was.
    looked: Option<Instant>,
    /// What a call would have been charged that has run all the time.
    each: Duration,
}

impl Meter {
    /// `exactly`: the process goes from rest to work, or back.
    fn update(&self, exactly: u32, change: impl FnOnce(&mut Shares)) -> Duration {
        let mut shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let looked = Instant::now();
        let fresh = shares.looked.is_some_and(|last| looked - last < FRESH);
        if shares.running == exactly || !fresh {
            let now = own_cpu();
            if shares.running > 0 {
                let each = now.saturating_sub(shares.seen) / shares.running;
                shares.each += each;
            }
            shares.seen = now;
            shares.looked = Some(looked);
        }
        change(&mut shares);
        shares.each
    }

    /// A call begins; what comes back is for its end.
    pub(super) fn begin(&self) -> Duration {
        self.update(0, |shares| shares.running += 1)
    }

    /// A call ends: the time that it is charged with.
    pub(super) fn end(&self, begun: Duration) -> Duration {
        self.update(1, |shares| shares.running -= 1).saturating_sub(begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_shared_out_among_those_that_run() {
        let spend = |time: Duration| {
            let until = own_cpu() + time;
            while own_cpu() < until {}
        };
        let meter = Meter::default();
        spend(Duration::from_millis(20));
        let first = meter.begin();
        spend(Duration::from_millis(20));
        let second = meter.begin();
        spend(Duration::from_millis(20));
        let second = meter.end(second);
        let first = meter.end(first);
        // Other tests run in this process at the same time.
        assert!(second >= Duration::from_millis(10) && first >= second + Duration::from_millis(20));
    }
}
