//! Looking after the workers while they run: calls that do not stop, processor time, memory, age.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use nix::unistd::Pid;

use super::{
    fate::{Fate, Leave},
    limits,
    member::Member,
    pool::Pool,
};

/// How often workers with calls are looked at. Memory grows at the speed at which the kernel can clear pages, about a
/// gigabyte a second, so what it can grow by in between is small.
const TICK: Duration = Duration::from_millis(20);

/// How often workers without calls are.
const IDLE: Duration = Duration::from_millis(250);

impl Pool {
    /// Runs for as long as the host.
    pub(super) async fn watch(self: Arc<Self>) {
        let mut seen = HashMap::new();
        loop {
            let living = self.living();
            let busy = living.iter().any(|member| member.running() > 0);
            tokio::time::sleep(if busy { TICK } else { IDLE }).await;
            for member in &living {
                let now = Instant::now();
                if member.has_overdue(now) {
                    // Before the places of these calls go to others, which must not come here.
                    self.dismiss(member);
                    member.give_up_overdue(now);
                    member.has_to_leave(Leave::AtOnce);
                }
                self.charge(member, &mut seen);
                if self.has_done_its_part(member) {
                    member.has_to_leave(Leave::WhenReplaced);
                }
            }
            seen.retain(|number, _| living.iter().any(|member| member.number == *number));
            if self.limits.watches_memory() {
                self.weigh(&living);
            }
        }
    }

    fn charge(&self, member: &Member, seen: &mut HashMap<u64, Duration>) {
        let Some((limit, now)) = self.limits.cpu.zip(limits::cpu(member.process.pid)) else { return };
        let before = seen.insert(member.number, now);
        if let Some(before) = before {
            member.charge(now.saturating_sub(before), limit);
        }
    }

    fn has_done_its_part(&self, member: &Member) -> bool {
        let renewal = &self.limits.renewal;
        renewal.calls.is_some_and(|most| member.served() >= most)
            || renewal.age.is_some_and(|most| member.born.elapsed() >= most)
    }

    /// Replaces workers that have grown, and ends the largest when they have too much together.
    fn weigh(&self, living: &[Arc<Member>]) {
        let weights: Vec<_> =
            living.iter().filter_map(|member| Some((limits::memory(member.process.pid)?, member))).collect();
        if let Some(most) = self.limits.renewal.memory {
            let grown = weights.iter().filter(|(bytes, _)| *bytes > most);
            grown.for_each(|(_, member)| member.has_to_leave(Leave::WhenReplaced));
        }
        let all =
            weights.iter().map(|(bytes, _)| bytes).sum::<u64>() + limits::memory(Pid::this()).unwrap_or(0);
        // Before the kernel does it, which would choose for itself; it also counts what is not anybody's own.
        if self.limits.memory.is_some_and(|most| all > most - most / 20)
            && let Some((_, member)) = weights.iter().max_by_key(|(bytes, _)| bytes)
        {
            member.kill(Fate::Memory);
        }
    }
}
