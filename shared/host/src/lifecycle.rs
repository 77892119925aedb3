//! Where the process is between its start and its end.

use tokio::sync::watch;

/// The phases, in the order in which they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Connections are accepted, calls wait.
    Loading,
    /// Everything is served.
    Ready,
    /// Everything is served, but nothing new should be sent here.
    Draining,
    /// What runs is finished, connections are closed.
    Closing,
    /// What still runs is given up.
    Aborting,
}

/// The phase, for those who ask and those who wait. It only ever advances.
#[derive(Clone, Debug)]
pub(crate) struct Lifecycle(watch::Sender<Phase>);

impl Lifecycle {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Phase::Loading))
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// The function has been loaded.
    pub(crate) fn ready(&self) {
        self.advance(Phase::Ready);
    }

    /// Goes on to `phase`, or stays where it is when that is further.
    pub(crate) fn advance(&self, phase: Phase) {
        self.0.send_if_modified(|current| {
            let further = phase > *current;
            *current = phase.max(*current);
            further
        });
    }

    /// Waits until `phase` or a later one.
    pub(crate) async fn reached(&self, phase: Phase) {
        let mut phases = self.0.subscribe();
        // The sender lives in `self`, so the channel cannot close.
        let _ = phases.wait_for(|current| *current >= phase).await;
    }
}
