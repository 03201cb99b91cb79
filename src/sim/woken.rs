//! Which pipes of a host were woken: what their wakers write and the world reads after each turn.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

use crate::machine::ids::PortId;

#[derive(Debug, Clone, Default)]
pub(super) struct Woken(Arc<Mutex<Vec<PortId>>>);

struct PortWaker {
    port: PortId,
    woken: Woken,
}

impl Woken {
    pub(super) fn waker(&self, port: PortId) -> Waker {
        Waker::from(Arc::new(PortWaker { port, woken: self.clone() }))
    }

    /// Each woken port once, in the order of the ports.
    pub(super) fn take(&self) -> Vec<PortId> {
        let mut ports = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        ports.sort_unstable();
        ports.dedup();
        ports
    }
}

impl Wake for PortWaker {
    fn wake(self: Arc<Self>) {
        self.woken.0.lock().unwrap_or_else(PoisonError::into_inner).push(self.port);
    }
}
