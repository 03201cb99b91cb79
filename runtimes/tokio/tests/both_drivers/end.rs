//! What the two drivers have in common, as a program sees it.

use std::time::Duration;

use switchboard::connect::AnyTransport;
use switchboard::machine::Cx;
use switchboard::transport::alone::{Alone, AloneEvent};

pub(crate) type Node = Alone<AnyTransport>;

/// A driver with one node, used from one thread.
pub(crate) trait End {
    fn start(node: Node) -> Self;
    fn act<R>(&mut self, call: impl FnOnce(&mut Node, &mut Cx<'_>) -> R) -> R;
    /// The next event, which must come in time.
    fn next(&mut self, patience: Duration) -> AloneEvent;
}

pub(crate) struct Tokio {
    runtime: tokio::runtime::Runtime,
    handle: switchboard_tokio::Handle<Node>,
}

impl End for Tokio {
    fn start(node: Node) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let entered = runtime.enter();
        let handle = switchboard_tokio::spawn(node);
        drop(entered);
        Self { runtime, handle }
    }

    fn act<R>(&mut self, call: impl FnOnce(&mut Node, &mut Cx<'_>) -> R) -> R {
        self.handle.act(call)
    }

    fn next(&mut self, patience: Duration) -> AloneEvent {
        let next = async { tokio::time::timeout(patience, self.handle.next()).await };
        self.runtime.block_on(next).expect("an event in time").expect("the driver runs")
    }
}

pub(crate) struct Mio(switchboard_mio::Driver<Node>);

impl End for Mio {
    fn start(node: Node) -> Self {
        Self(switchboard_mio::Driver::new(node).expect("a driver"))
    }

    fn act<R>(&mut self, call: impl FnOnce(&mut Node, &mut Cx<'_>) -> R) -> R {
        self.0.act(call)
    }

    fn next(&mut self, patience: Duration) -> AloneEvent {
        self.0.turn(Some(patience)).expect("a turn").expect("an event in time")
    }
}
