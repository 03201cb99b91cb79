//! How channels close (RFC 8831, section 6.7), by resets of their streams (RFC 6525).
//!
//! Each side resets its own way when all that it wrote has been acknowledged; a reset by the peer is answered by one of
//! ours, and what was written and not begun is dropped then. The channel is closed, and its id free, when both ways are
//! reset *and* the messages that came before the peer's reset have been taken. For that the reset leaves a mark among
//! the messages. If the mark is reached while our own reset is still unanswered, what follows it on that stream waits: the
//! peer may know already that the id is free, and open another channel with it.

use super::channels::{Incoming, Outgoing, Phase};
use super::events::Event;
use super::reset::ResetEvent;
use super::{Association, State};
use crate::machine::time::Instant;
use crate::wire::sctp::Reconfig;

impl Association {
    /// Closes a channel: what was written is delivered, what still comes is dropped, and
    /// [`Event::Closed`] follows when the peer has closed it too. Without effect on one that does not exist.
    pub fn close_channel(&mut self, now: Instant, stream: u16) {
        let Some(channel) = self.channels.get(stream) else { return };
        channel.is_deaf = true;
        match channel.phase {
            Phase::Asking => {
                self.channels.remove(stream);
                self.events.push_back(Event::Closed(stream));
            }
            Phase::Opening | Phase::Open => {
                channel.phase = Phase::Closing(Outgoing::Draining, Incoming::Flowing);
                self.settle_channel(now, stream);
            }
            Phase::Closing(..) | Phase::Retired => {}
        }
    }

    /// Does what can be done for channels that wait for data to move.
    pub(super) fn settle_channels(&mut self, now: Instant) {
        let pending = self.channels.take_pending();
        for stream in &pending {
            self.settle_channel(now, *stream);
        }
        self.channels.give_back(pending);
    }

    fn settle_channel(&mut self, now: Instant, stream: u16) {
        let Some(channel) = self.channels.get(stream) else { return };
        match channel.phase {
            Phase::Asking => self.send_open(now, stream),
            _ if channel.owes_ack => self.send_ack(now, stream),
            Phase::Closing(Outgoing::Draining, incoming)
                if self.state.is_established()
                    && !self.outbound.has_unsent(stream)
                    && !self.outbound.has_unacked(stream) =>
            {
                channel.phase = Phase::Closing(Outgoing::Resetting, incoming);
                self.ask_reset(stream);
            }
            _ => {}
        }
        self.channels.note(stream);
    }

    /// Asks the peer to take a reset of our way, if it knows resets; else the id is spent.
    pub(super) fn ask_reset(&mut self, stream: u16) {
        if self.remote.is_some_and(|remote| remote.has_reconfig) {
            self.reset.request(stream);
        } else {
            self.retire(stream);
        }
    }

    /// Closes a channel that can't be reset: nothing more is sent or taken on its stream.
    pub(super) fn retire(&mut self, stream: u16) {
        if let Some(channel) = self.channels.get(stream) {
            channel.phase = Phase::Retired;
            channel.names = None;
            self.events.push_back(Event::Closed(stream));
        }
    }

    pub(super) fn on_reconfig(&mut self, now: Instant, reconfig: &Reconfig<'_>) {
        if !self.state.is_associated() || self.state == State::ShutdownAckSent {
            self.dropped.state += 1;
            return;
        }
        self.reset.on_reconfig(now, reconfig, self.inbound.cumulative());
        self.take_resets(now);
    }

    /// Does what the machine of resets has found out.
    pub(super) fn take_resets(&mut self, now: Instant) {
        while let Some(event) = self.reset.poll_event() {
            match event {
                ResetEvent::Incoming(stream) => self.on_incoming_reset(now, stream),
                ResetEvent::Done(stream) => self.on_outgoing_reset(stream),
                ResetEvent::Refused(stream) => self.retire(stream),
            }
        }
    }

    fn on_incoming_reset(&mut self, now: Instant, stream: u16) {
        self.inbound.reset(stream);
        let Some(channel) = self.channels.get(stream) else { return };
        channel.phase = match channel.phase {
            Phase::Closing(outgoing, Incoming::Flowing) => Phase::Closing(outgoing, Incoming::Reset),
            Phase::Asking | Phase::Opening | Phase::Open => Phase::Closing(Outgoing::Draining, Incoming::Reset),
            Phase::Closing(..) | Phase::Retired => return,
        };
        channel.owes_ack = false;
        self.inbound.mark(stream);
        self.outbound.discard(stream);
        self.settle_channel(now, stream);
    }

    fn on_outgoing_reset(&mut self, stream: u16) {
        self.outbound.restart_stream(stream);
        if let Some(channel) = self.channels.get(stream)
            && let Phase::Closing(Outgoing::Resetting, incoming) = channel.phase
        {
            channel.phase = Phase::Closing(Outgoing::Reset, incoming);
            self.finish(stream);
        }
    }

    /// All messages before the peer's reset have been taken.
    pub(super) fn take_mark(&mut self, stream: u16) {
        self.inbound.take();
        if let Some(channel) = self.channels.get(stream)
            && let Phase::Closing(outgoing, Incoming::Reset) = channel.phase
        {
            channel.phase = Phase::Closing(outgoing, Incoming::Empty);
            self.inbound.hold(stream, true);
            self.finish(stream);
        }
    }

    fn finish(&mut self, stream: u16) {
        if self.channels.get(stream).is_some_and(|channel| channel.phase == CLOSED) {
            self.channels.remove(stream);
            self.inbound.hold(stream, false);
            self.events.push_back(Event::Closed(stream));
        }
    }
}

const CLOSED: Phase = Phase::Closing(Outgoing::Reset, Incoming::Empty);
