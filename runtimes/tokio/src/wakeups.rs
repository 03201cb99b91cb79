//! Which ports woke: what a runtime's wakers do not say by themselves.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use switchboard::machine::ids::PortId;
use switchboard::machine::queue::ReadyList;

/// The ports that woke, each once, and the task that is to look at them.
#[derive(Debug, Default)]
pub(crate) struct Wakeups(Mutex<Woken>);

#[derive(Debug, Default)]
struct Woken {
    ports: ReadyList<PortId>,
    task: Option<Waker>,
}

struct PortWaker {
    port: PortId,
    wakeups: Arc<Wakeups>,
}

impl Wakeups {
    /// The port that woke first; without one, or after it, `cx` is woken by the next.
    pub(crate) fn poll_pop(&self, cx: &Context<'_>) -> Poll<PortId> {
        let mut woken = self.lock();
        woken.task.get_or_insert_with(|| cx.waker().clone()).clone_from(cx.waker());
        woken.ports.pop().map_or(Poll::Pending, Poll::Ready)
    }

    /// Wakes the task.
    pub(crate) fn wake(&self) {
        let task = self.lock().task.take();
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Lists a port and wakes the task.
    pub(crate) fn push(&self, port: PortId) {
        self.lock().ports.push(port);
        self.wake();
    }

    /// A waker that lists `port`.
    pub(crate) fn waker(self: &Arc<Self>, port: PortId) -> Waker {
        Waker::from(Arc::new(PortWaker { port, wakeups: self.clone() }))
    }

    fn lock(&self) -> MutexGuard<'_, Woken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for PortWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wakeups.push(self.port);
    }
}
