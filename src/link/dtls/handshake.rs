//! The handshake, by dimpl, and records until our own take over.
//!
//! *Drained at once.* After each call everything that dimpl has to say is taken: datagrams wait for
//! [`Dtls::fill`](super::Dtls::fill), data is delivered. So nothing is left inside when it is dropped.
//!
//! *When.* Own records take over once data of the peer's has been delivered and dimpl has no timer left. The first
//! shows that the peer has completed: a server that gets data knows that the client has its last flight, or (1.3) has
//! sent all of its own. The second is for a client of DTLS 1.3: a server may send data before it has the client's last
//! flight, which must be sent until it is acknowledged. The rest is in [`Records`]: a server of DTLS 1.3 acknowledges a
//! Finished that comes again, as its acknowledgement can be lost.

use std::collections::VecDeque;
use std::time::Duration;

use dimpl::{Dtls, Error, Output};
use subtle::ConstantTimeEq as _;

use super::context::{self, Context};
use super::record::LONGEST;
use super::records::{End, Records};
use super::tap::{self, Tap};
use super::{Broken, Version};
use crate::machine::time::Instant;

/// Datagrams that wait to be sent; the oldest give way.
const WAITING: usize = 64;
/// The shortest wait. A gap in the peer's flight lets dimpl ask for no wait at all, again and again, and acknowledge each
/// time.
const LEAST: Duration = Duration::from_millis(25);
/// Bytes that are enough for most of what dimpl says.
const ROOM: usize = 2_048;

/// A connection that dimpl carries.
pub(super) struct Handshake {
    dimpl: Dtls,
    context: Context,
    /// None: it stays with dimpl.
    tap: Option<Box<Tap>>,
    seed: Option<u64>,
    fingerprint: [u8; 32],
    is_client: bool,
    is_verified: bool,
    is_connected: bool,
    has_delivered: bool,
    deadline: Option<Instant>,
    room: Vec<u8>,
}

/// Datagrams that wait to be sent.
pub(super) type Waiting = VecDeque<Vec<u8>>;

impl Handshake {
    pub(super) fn new(
        context: &Context,
        now: Instant,
        version: Version,
        is_client: bool,
        fingerprint: [u8; 32],
        seed: Option<u64>,
    ) -> Self {
        let (config, certificate, at) = (context.config(seed), context.certificate(), context.std(now));
        context.seed(seed);
        let mut dimpl = match version {
            Version::Dtls12 => Dtls::new_12(config, certificate, at),
            Version::Dtls13 => Dtls::new_13(config, certificate, at),
            Version::Auto => Dtls::new_auto(config, certificate, at),
        };
        dimpl.set_active(is_client);
        Self {
            dimpl,
            context: context.clone(),
            tap: context.is_tapped().then(Box::default),
            seed,
            fingerprint,
            is_client,
            is_verified: false,
            is_connected: false,
            has_delivered: false,
            deadline: None,
            room: Vec::new(),
        }
    }

    pub(super) const fn is_connected(&self) -> bool {
        self.is_connected
    }

    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Own records, if it is time for them.
    pub(super) fn successor(&self, now: Instant) -> Option<Records> {
        let is_time = self.is_connected && self.has_delivered && self.deadline.is_none();
        self.tap.as_ref().filter(|_| is_time).and_then(|tap| Records::new(now, tap, self.is_client))
    }

    /// Lets time pass.
    pub(super) fn pass(
        &mut self,
        now: Instant,
        waiting: &mut Waiting,
        deliver: &mut impl FnMut(&[u8]),
    ) -> Result<(), End> {
        let at = self.context.std(now);
        let passed = self.call(|dimpl| dimpl.handle_timeout(at));
        passed.or_else(|error| self.judge(error).map(drop))?;
        self.drain(now, waiting, deliver)
    }

    /// Takes a datagram; false: dimpl does not want it.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        datagram: &[u8],
        waiting: &mut Waiting,
        deliver: &mut impl FnMut(&[u8]),
    ) -> Result<bool, End> {
        let at = self.context.std(now);
        self.call(|dimpl| dimpl.handle_timeout(at)).or_else(|error| self.judge(error).map(drop))?;
        let is_wanted = match self.call(|dimpl| dimpl.handle_packet(datagram)) {
            Ok(()) => true,
            Err(error) => self.judge(error).map(|()| false)?,
        };
        self.drain(now, waiting, deliver)?;
        Ok(is_wanted)
    }

    /// Makes a datagram of the text in `out` from `start` on; false, and `out` is cut there, before the handshake is
    /// complete.
    pub(super) fn seal(
        &mut self,
        now: Instant,
        out: &mut Vec<u8>,
        start: usize,
        waiting: &mut Waiting,
    ) -> Result<bool, End> {
        let text = &out[start..];
        let is_taken =
            self.is_connected && text.len() <= LONGEST && self.call(|dimpl| dimpl.send_application_data(text)).is_ok();
        out.truncate(start);
        let mut datagrams = Waiting::new();
        self.drain(now, &mut datagrams, &mut |_| {})?;
        let first = datagrams.pop_front().filter(|_| is_taken);
        waiting.append(&mut datagrams);
        Ok(first.map(|datagram| out.extend_from_slice(&datagram)).is_some())
    }

    /// Says goodbye, if the handshake is complete.
    pub(super) fn close(&mut self, now: Instant, waiting: &mut Waiting) {
        // Neither can fail in a way that matters: the connection is over.
        let _ = self.call(Dtls::close);
        let _ = self.drain(now, waiting, &mut |_| {});
    }

    fn call<R>(&mut self, call: impl FnOnce(&mut Dtls) -> R) -> R {
        self.context.seed(self.seed);
        let dimpl = &mut self.dimpl;
        tap::during(&mut self.tap, || call(dimpl))
    }

    fn drain(&mut self, now: Instant, waiting: &mut Waiting, deliver: &mut impl FnMut(&[u8])) -> Result<(), End> {
        let mut room = std::mem::take(&mut self.room);
        room.resize(room.len().max(ROOM), 0);
        let end = loop {
            match self.dimpl.poll_output(&mut room) {
                Output::Packet(datagram) => wait(waiting, datagram),
                Output::BufferTooSmall { needed } => room.resize(needed, 0),
                Output::PeerCert(certificate) => self.is_verified = is_expected(certificate, &self.fingerprint),
                Output::Connected if !self.is_verified => break Err(End::Broken(Broken::Fingerprint)),
                Output::Connected => self.is_connected = true,
                Output::ApplicationData(data) if self.is_connected => {
                    self.has_delivered = true;
                    deliver(data);
                }
                Output::CloseNotify => break Err(End::Closed),
                Output::Timeout(at) => {
                    self.deadline = self.context.instant(now, at).map(|at| at.max(now + LEAST));
                    break Ok(());
                }
                _ => {}
            }
        };
        self.room = room;
        end
    }

    /// Whether an error of dimpl's ends the connection.
    fn judge(&self, error: Error) -> Result<(), End> {
        match error {
            Error::ReceiveQueueFull
            | Error::RenegotiationAttempt
            | Error::TooManyClientHelloFragments
            | Error::UnexpectedMessage(dimpl::UnexpectedMessageError::UnrecognizedAutoServerResponse) => Ok(()),
            Error::ConnectionClosed => Err(End::Closed),
            Error::Timeout(_) => Err(End::Broken(Broken::Timeout)),
            Error::SecurityError(dimpl::SecurityError::FatalAlert { description }) => Err(End::Alert(description)),
            other => Err(End::Broken(Broken::Handshake(other))),
        }
    }
}

fn wait(waiting: &mut Waiting, datagram: &[u8]) {
    if waiting.len() == WAITING {
        waiting.pop_front();
    }
    waiting.push_back(datagram.to_vec());
}

fn is_expected(certificate: &[u8], fingerprint: &[u8; 32]) -> bool {
    context::fingerprint(certificate).ct_eq(fingerprint).into()
}
