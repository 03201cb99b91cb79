//! What happens to the paths while the messages pass.

use std::time::Duration;

use switchboard::hub::session::event::PathId;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::Steps;
use super::cable::{Cable, State};
use super::wire::Wire;

/// A path is used for so long before something happens to it.
const PAUSE: Duration = Duration::from_millis(1200);
/// Another path is waited for so long.
const PATIENCE: Duration = Duration::from_secs(6);

/// The sender's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InUse {
    pub(super) path: PathId,
    pub(super) direct: bool,
}

/// What can die, and what shows that it was noticed.
pub(super) struct Story<'a> {
    pub(super) cables: &'a [Cable; 2],
    pub(super) wire: &'a Wire,
    pub(super) in_use: watch::Receiver<Option<InUse>>,
    pub(super) steps: &'a Steps,
}

impl Story<'_> {
    pub(super) async fn play(mut self) {
        self.until(|used| used.direct).await;
        self.wire.cut();
        self.steps.of("wire", "is cut: nothing passes directly any more, and nobody is told");
        self.until(|used| !used.direct).await;
        let before = *self.in_use.borrow();
        let cable = self.busier().await;
        self.cables[cable].set(State::Dead);
        self.steps.of("cable", &format!("{}, which is in use, goes dead: it holds what it is given", cable + 1));
        self.until(|used| Some(used) != before).await;
        self.cables[cable].set(State::Whole);
        self.wire.mend();
        self.steps.of("wire", &format!("is whole again, and so is cable {}", cable + 1));
        self.until(|used| used.direct).await;
    }

    /// Waits until such a path is used, and then a little.
    async fn until(&mut self, is_it: impl Fn(InUse) -> bool) {
        _ = timeout(PATIENCE, self.in_use.wait_for(|used| used.is_some_and(&is_it))).await;
        sleep(PAUSE).await;
    }

    /// The cable that the messages are on.
    async fn busier(&self) -> usize {
        let before = self.cables.each_ref().map(Cable::passed);
        sleep(Duration::from_millis(20)).await;
        usize::from(self.cables[1].passed() - before[1] > self.cables[0].passed() - before[0])
    }
}
