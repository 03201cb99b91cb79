//! What the two drivers have in common, as a program sees it.

use std::time::Duration;

use switchboard::machine::{Cx, Machine};

/// A driver with one machine, used from one thread.
pub(crate) trait End<M: Machine> {
    fn start(machine: M) -> Self;
    fn act<R>(&mut self, call: impl FnOnce(&mut M, &mut Cx<'_>) -> R) -> R;
    /// The next event, which must come in time.
    fn next(&mut self, patience: Duration) -> M::Event;
}

pub(crate) struct Tokio<M: Machine> {
    runtime: tokio::runtime::Runtime,
    handle: switchboard_tokio::Handle<M>,
}

impl<M> End<M> for Tokio<M>
where
    M: Machine + Send + 'static,
    M::Event: Send,
{
    fn start(machine: M) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let entered = runtime.enter();
        let handle = switchboard_tokio::spawn(machine);
        drop(entered);
        Self { runtime, handle }
    }

    fn act<R>(&mut self, call: impl FnOnce(&mut M, &mut Cx<'_>) -> R) -> R {
        self.handle.act(call)
    }

    fn next(&mut self, patience: Duration) -> M::Event {
        let next = async { tokio::time::timeout(patience, self.handle.next()).await };
        self.runtime.block_on(next).expect("an event in time").expect("the driver runs")
    }
}

pub(crate) struct Mio<M: Machine>(switchboard_mio::Driver<M>);

impl<M: Machine> End<M> for Mio<M> {
    fn start(machine: M) -> Self {
        Self(switchboard_mio::Driver::new(machine).expect("a driver"))
    }

    fn act<R>(&mut self, call: impl FnOnce(&mut M, &mut Cx<'_>) -> R) -> R {
        self.0.act(call)
    }

    fn next(&mut self, patience: Duration) -> M::Event {
        self.0.turn(Some(patience)).expect("a turn").expect("an event in time")
    }
}
