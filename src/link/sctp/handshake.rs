//! Set-up: four chunks (RFC 9260, section 5), or none, where signalling has carried the INIT chunks already
//! (draft-hancke-tsvwg-snap).
//!
//! Tag and first TSN are drawn once, so INIT, every INIT ACK and the INIT of the signalling say the same; whichever
//! exchange is over first makes the association, and the others' rest finds it standing. When both sides connect at the
//! same time each answers the other's INIT, and the first COOKIE ECHO to arrive wins (section 5.2). Data rides with
//! COOKIE ECHO and with COOKIE ACK; data that comes in place of a COOKIE ACK says the same.
//!
//! An INIT in mid-session is a late repetition, or a peer that has forgotten the association. The latter can't be: a new
//! association has a new DTLS session (RFC 8831, section 6.1), so a restart is refused by an ABORT to the new tag.

use std::time::Duration;

use smallvec::SmallVec;

use super::config::{Agreed, Config};
use super::control::{Alone, Answer, MOST_VALUE};
use super::cookie::BadCookie;
use super::error::Broken;
use super::events::{Event, Over};
use super::reset::Reset;
use super::timers::Timer;
use super::{Association, State};
use crate::machine::time::Instant;
use crate::wire::sctp::{COMMON_HEADER, Init, InitHead, Packet, Parameter, Tsn, cause, kind};

/// The means by which DTLS makes checksums superfluous (RFC 9653, section 8.2).
const DTLS: u32 = 1;

/// What an INIT or INIT ACK says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) tag: u32,
    pub(super) window: u32,
    pub(super) initial_tsn: Tsn,
    pub(super) outbound_streams: u16,
    pub(super) inbound_streams: u16,
    pub(super) has_interleaving: bool,
    /// FORWARD-TSN, and I-FORWARD-TSN where messages are interleaved.
    pub(super) has_forward_tsn: bool,
    pub(super) has_reconfig: bool,
    pub(super) has_zero_checksum: bool,
}

impl Offer {
    fn of(init: &Init<'_>, config: &Config) -> Self {
        let has_interleaving = config.interleaving && init.supports(kind::I_DATA);
        let has_forward_tsn = match has_interleaving {
            true => init.supports(kind::I_FORWARD_TSN),
            false => init.is_forward_tsn() || init.supports(kind::FORWARD_TSN),
        };
        Self {
            tag: init.tag,
            window: init.window,
            initial_tsn: init.initial_tsn,
            outbound_streams: init.outbound_streams,
            inbound_streams: init.inbound_streams,
            has_interleaving,
            has_forward_tsn,
            has_reconfig: init.supports(kind::RECONFIG),
            has_zero_checksum: config.zero_checksum && init.zero_checksum() == Some(DTLS),
        }
    }

    pub(super) fn agreed(&self, config: &Config) -> Agreed {
        Agreed {
            is_interleaved: self.has_interleaving,
            has_forward_tsn: self.has_forward_tsn,
            outbound_streams: config.streams.min(self.inbound_streams),
            inbound_streams: config.streams.min(self.outbound_streams),
        }
    }
}

/// A chunk of the set-up that is repeated until it is answered.
#[derive(Debug, Default)]
pub(super) struct Setup {
    /// The peer's cookie; empty: INIT is what is repeated.
    cookie: Vec<u8>,
    /// Whether the chunk is to be written.
    is_due: bool,
    repeats: u32,
    delay: Duration,
}

impl Association {
    /// The INIT chunk that signalling may carry to the peer, whole and without padding.
    pub fn init_chunk(&self) -> Vec<u8> {
        let mut chunk = Vec::new();
        self.init_head().emit(&mut chunk, false, &self.parameters());
        chunk
    }

    /// Starts without a handshake: signalling has carried our [`init_chunk`](Self::init_chunk) to the peer and brought
    /// the peer's. `is_client` as in [`connect`](Self::connect). Without effect on one that was started before.
    ///
    /// # Errors
    /// `remote_init` can't be read; nothing has happened then.
    pub fn start_with(&mut self, now: Instant, remote_init: &[u8], is_client: bool) -> Result<(), Broken> {
        let init = Init::parse(remote_init).map_err(|_| Broken::MalformedInit)?;
        if self.state == State::Idle {
            self.is_client = is_client;
            self.begin(now, Offer::of(&init, &self.config));
            self.establish(now);
        }
        Ok(())
    }

    /// Starts by asking the peer. `is_client`: whether this side is the client of DTLS, whose channels have even ids
    /// (RFC 8832, section 6). Without effect on one that was started before.
    pub fn connect(&mut self, now: Instant, is_client: bool) {
        if matches!(self.state, State::Idle | State::Listening) {
            self.is_client = is_client;
            self.ask(now);
        }
    }

    /// Waits for the peer to ask. Without effect on one that was started before.
    pub fn listen(&mut self, is_client: bool) {
        if self.state == State::Idle {
            self.is_client = is_client;
            self.state = State::Listening;
        }
    }

    fn ask(&mut self, now: Instant) {
        self.state = State::CookieWait;
        self.setup.cookie = Vec::new();
        self.send_setup(now);
    }

    fn send_setup(&mut self, now: Instant) {
        self.setup.is_due = true;
        self.setup.delay = self.config.rto.initial;
        self.timers.set(Timer::Setup, now + self.setup.delay);
    }

    pub(super) fn on_setup_timeout(&mut self, now: Instant) {
        if self.setup.repeats >= self.config.most_setup_retransmits {
            return self.end(Over::Lost);
        }
        self.setup.repeats += 1;
        self.setup.is_due = true;
        self.setup.delay = (2 * self.setup.delay).min(self.config.rto.max);
        self.timers.set(Timer::Setup, now + self.setup.delay);
    }

    pub(super) const fn is_setup_due(&self) -> bool {
        self.setup.is_due
    }

    pub(super) fn fill_init(&mut self, packet: &mut Packet<'_>) {
        self.setup.is_due = false;
        packet.init(false, &self.init_head(), &self.parameters());
    }

    /// COOKIE ECHO, and what rides with it.
    pub(super) fn fill_cookie(&mut self, now: Instant, packet: &mut Packet<'_>) {
        self.setup.is_due = false;
        packet.chunk(kind::COOKIE_ECHO, 0, &self.setup.cookie);
        self.control.fill(packet);
        if self.outbound.is_due(now) {
            self.outbound.fill(now, packet);
        }
    }

    pub(super) fn fill_init_ack(&self, packet: &mut Packet<'_>, cookie: &[u8], unrecognized: &[Vec<u8>]) -> bool {
        let mut parameters: SmallVec<[Parameter<'_>; 4]> = SmallVec::new();
        parameters.push(Parameter::Cookie(cookie));
        parameters.extend(self.parameters());
        parameters.extend(unrecognized.iter().map(|parameter| Parameter::Unrecognized(parameter)));
        packet.init(true, &self.init_head(), &parameters)
    }

    /// An INIT, whose packet has no tag.
    pub(super) fn on_init(&mut self, now: Instant, init: &Init<'_>) {
        match self.state {
            State::Listening | State::CookieWait | State::CookieEchoed => self.answer_init(now, init),
            State::ShutdownAckSent => self.repeat_shutdown(now),
            State::Idle | State::Over => self.dropped.state += 1,
            _ => self.refuse_restart(init),
        }
    }

    fn answer_init(&mut self, now: Instant, init: &Init<'_>) {
        let cookie = Box::new(self.baker.bake(now, &Offer::of(init, &self.config)));
        let answer = Alone::InitAck { tag: init.tag, cookie, unrecognized: unrecognized(init) };
        self.send_alone(answer);
    }

    fn refuse_restart(&mut self, init: &Init<'_>) {
        self.dropped.restart += 1;
        if self.remote.is_none_or(|remote| remote.tag != init.tag) {
            let value = b"a restart is a new DTLS session".to_vec();
            self.send_alone(Alone::Abort { tag: init.tag, code: cause::PROTOCOL_VIOLATION, value });
        }
    }

    pub(super) fn on_init_ack(&mut self, now: Instant, init: &Init<'_>) {
        if self.state != State::CookieWait {
            self.dropped.state += 1;
            return;
        }
        let most = self.packet_size().saturating_sub(COMMON_HEADER + 4) & !3;
        let Some(cookie) = init.cookie().filter(|cookie| cookie.len() <= most) else {
            return self.break_off(Broken::NoCookie);
        };
        self.setup.cookie = cookie.to_vec();
        for parameter in unrecognized(init) {
            self.answer(Answer::Error(cause::UNRECOGNIZED_PARAMETERS, parameter));
        }
        self.begin(now, Offer::of(init, &self.config));
        self.state = State::CookieEchoed;
        self.setup.repeats = 0;
        self.send_setup(now);
    }

    /// RFC 9260, section 5.2.4.
    pub(super) fn on_cookie_echo(&mut self, now: Instant, cookie: &[u8]) {
        let offer = match self.baker.open(now, self.config.cookie_life, cookie) {
            Ok(offer) => offer,
            Err(bad) => return self.refuse_cookie(bad),
        };
        match self.state {
            State::Listening | State::CookieWait => {
                self.begin(now, offer);
                self.control.acknowledge_cookie();
                self.establish(now);
            }
            State::Idle | State::Over => self.dropped.state += 1,
            _ if self.remote.is_none_or(|remote| remote.tag != offer.tag) => self.dropped.restart += 1,
            State::CookieEchoed => {
                self.control.acknowledge_cookie();
                self.establish(now);
            }
            _ => self.control.acknowledge_cookie(),
        }
    }

    fn refuse_cookie(&mut self, bad: BadCookie) {
        match bad {
            BadCookie::Forged => self.dropped.forged_cookie += 1,
            BadCookie::Stale(late, tag) => {
                self.dropped.stale_cookie += 1;
                let late = u32::try_from(late.as_micros()).unwrap_or(u32::MAX);
                self.send_alone(Alone::Error { tag, code: cause::STALE_COOKIE, value: late.to_be_bytes().to_vec() });
            }
        }
    }

    pub(super) fn on_cookie_ack(&mut self, now: Instant) {
        match self.state {
            State::CookieEchoed => self.establish(now),
            _ => self.dropped.state += 1,
        }
    }

    /// Data or an acknowledgement in place of COOKIE ACK, which then was lost or is late: the peer stands.
    #[inline]
    pub(super) fn imply_cookie_ack(&mut self, now: Instant) {
        if self.state == State::CookieEchoed {
            self.establish(now);
        }
    }

    /// The peer finds its own cookie too old: it is asked for another (RFC 9260, section 5.2.6).
    pub(super) fn on_stale_cookie(&mut self, now: Instant) {
        if self.state == State::CookieEchoed && self.setup.repeats < self.config.most_setup_retransmits {
            let repeats = self.setup.repeats + 1;
            self.ask(now);
            self.setup.repeats = repeats;
        }
    }

    /// The peer's side is known: both halves can work. After a stale cookie it is known anew, and the peer may have chosen
    /// another tag; the kind of DATA stays, for some may be under way.
    fn begin(&mut self, now: Instant, offer: Offer) {
        let has_interleaving = self.remote.map_or(offer.has_interleaving, |former| former.has_interleaving);
        let offer = Offer { has_interleaving, ..offer };
        let agreed = offer.agreed(&self.config);
        self.outbound.start(now, offer.window, agreed);
        self.inbound.start(offer.initial_tsn, agreed);
        self.reset = Reset::new(self.local_tsn.0, offer.initial_tsn.0);
        self.remote = Some(offer);
    }

    fn establish(&mut self, now: Instant) {
        self.state = State::Established;
        self.setup = Setup::default();
        self.timers.stop(Timer::Setup);
        self.events.push_back(Event::Connected);
        self.close_channels_beyond(now);
        self.restart_heartbeat(now);
    }

    const fn init_head(&self) -> InitHead {
        InitHead {
            tag: self.local_tag,
            window: self.config.receive_window,
            outbound_streams: self.config.streams,
            inbound_streams: self.config.streams,
            initial_tsn: self.local_tsn,
        }
    }

    fn parameters<'a>(&self) -> SmallVec<[Parameter<'a>; 3]> {
        const PLAIN: &[u8] = &[kind::RECONFIG, kind::FORWARD_TSN];
        const INTERLEAVING: &[u8] = &[kind::RECONFIG, kind::FORWARD_TSN, kind::I_DATA, kind::I_FORWARD_TSN];
        let extensions = if self.config.interleaving { INTERLEAVING } else { PLAIN };
        let zero = self.config.zero_checksum.then_some(Parameter::ZeroChecksum(DTLS));
        [Parameter::ForwardTsn, Parameter::Extensions(extensions)].into_iter().chain(zero).collect()
    }
}

/// Parameters that their sender is told about: as many as an answer may hold.
fn unrecognized(init: &Init<'_>) -> Vec<Vec<u8>> {
    let mut left = MOST_VALUE;
    let fits = |parameter: &&[u8]| {
        let fits = parameter.len() + 4 <= left;
        left = left.saturating_sub(parameter.len() + 4);
        fits
    };
    init.unrecognized().take_while(fits).map(<[u8]>::to_vec).collect()
}
