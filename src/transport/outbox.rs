//! What a transport has to say, given out in the order that the contract prescribes.

use std::collections::VecDeque;

use super::TransportEvent;
use crate::machine::ids::PortId;
use crate::machine::port::PortRequest;
use crate::machine::queue::ReadyList;
use crate::machine::{Deadline, Output};
use crate::stack::dial::Requests;

/// Port requests, events and ready ports that wait for [`Transport::poll`](super::Transport::poll).
///
/// It is emptied after each input, so that it is as long as one input makes it; a port is ready once however often
/// that is said.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Port requests, the oldest first.
    pub requests: Requests,
    /// Events, the oldest first.
    pub events: VecDeque<TransportEvent>,
    ready: ReadyList<PortId>,
}

impl Outbox {
    /// An empty outbox.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks something of a port. After `Abort` nothing that was said of it before is given out, but what names it
    /// first: nobody can abort a port that they were not told of.
    pub fn request(&mut self, port: PortId, request: PortRequest) {
        if request == PortRequest::Abort {
            self.requests.retain(|(asked, request)| *asked != port || request.is_first());
            self.ready.remove(port);
        }
        self.requests.push_back((port, request));
    }

    /// Tells the layer above something.
    pub fn event(&mut self, event: TransportEvent) {
        self.events.push_back(event);
    }

    /// Says that [`Transport::fill`](super::Transport::fill) has something for a port.
    pub fn ready(&mut self, port: PortId) {
        self.ready.push(port);
    }

    /// Takes back what was said of a port, because it has died.
    pub fn forget(&mut self, port: PortId) {
        self.requests.retain(|(asked, _)| *asked != port);
        self.ready.remove(port);
    }

    /// What [`Transport::poll`](super::Transport::poll) answers: requests, events, `Ready`, then the wait.
    pub fn poll(&mut self, deadline: Option<Deadline>) -> Output<TransportEvent> {
        if let Some((port, request)) = self.requests.pop_front() {
            return Output::Port(port, request);
        }
        if let Some(event) = self.events.pop_front() {
            return Output::Event(event);
        }
        self.ready.pop().map_or(Output::Wait(deadline), Output::Ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::ids::Ids;
    use crate::machine::port::PortSpec;

    #[test]
    fn what_was_said_comes_out_in_the_order_of_the_contract() {
        let port = Ids::new().port();
        let mut outbox = Outbox::new();
        outbox.ready(port);
        outbox.event(TransportEvent::Stopped);
        outbox.request(port, PortRequest::Pause);
        assert_eq!(outbox.poll(None), Output::Port(port, PortRequest::Pause));
        assert_eq!(outbox.poll(None), Output::Event(TransportEvent::Stopped));
        assert_eq!(outbox.poll(None), Output::Ready(port));
        assert_eq!(outbox.poll(None), Output::Wait(None));
    }

    #[test]
    fn an_abort_is_the_last_word_on_a_port() {
        let port = Ids::new().port();
        let mut outbox = Outbox::new();
        outbox.ready(port);
        outbox.request(port, PortRequest::Pause);
        outbox.request(port, PortRequest::Abort);
        assert_eq!(outbox.poll(None), Output::Port(port, PortRequest::Abort));
        assert_eq!(outbox.poll(None), Output::Wait(None));
    }

    #[test]
    fn a_port_is_opened_before_it_is_aborted() {
        let port = Ids::new().port();
        let mut outbox = Outbox::new();
        outbox.request(port, PortRequest::Open(PortSpec::Addresses));
        outbox.request(port, PortRequest::Abort);
        assert_eq!(outbox.poll(None), Output::Port(port, PortRequest::Open(PortSpec::Addresses)));
        assert_eq!(outbox.poll(None), Output::Port(port, PortRequest::Abort));
    }
}
