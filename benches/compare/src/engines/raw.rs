//! Two peers of `str0m`, used as its examples do.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::config::DtlsVersion;
use str0m::net::{Protocol, Receive, Transmit};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

/// The delay of the wire.
const DELAY: Duration = Duration::from_micros(25);

/// The channel's bound on what is not acknowledged, or the engine's own.
#[derive(Clone, Copy)]
pub enum Window {
    Default,
    Bytes(usize),
}

/// A connected pair with one channel.
pub struct Pair {
    ends: [End; 2],
    now: Instant,
    window: Window,
    /// Datagrams, both ways.
    pub carried: u64,
    /// Bytes of the longest of them.
    pub longest: usize,
}

struct End {
    rtc: Rtc,
    channel: Option<ChannelId>,
    timeout: Instant,
    outbox: VecDeque<Transmit>,
    is_open: bool,
    messages: usize,
}

impl Pair {
    /// Everything as `str0m` has it by default, through its direct interface.
    pub fn with_defaults() -> Self {
        Self::new(RtcConfig::new, Window::Default)
    }

    /// As our own peers are, but for who makes the configuration of DTLS, and without SNAP.
    pub fn with_window(window: usize) -> Self {
        let config = || {
            let config = RtcConfig::new().set_dtls_version(DtlsVersion::Dtls13).clear_codecs();
            config.set_sctp_max_buffered_amount(4 * window).set_mtu(1150..=1280)
        };
        Self::new(config, Window::Bytes(window))
    }

    /// As it is by default, but for datagrams of at most so many bytes, and perhaps with less under way.
    pub fn with_datagrams(bytes: usize, window: Window) -> Self {
        Self::new(|| RtcConfig::new().set_mtu(bytes..=usize::MAX), window)
    }

    fn new(config: impl Fn() -> RtcConfig, window: Window) -> Self {
        let config = || config().set_crypto_provider(str0m_aws_lc_rs::default_provider().into());
        let now = Instant::now();
        let mut ends = [(); 2].map(|()| End::new(config().build(now), now));
        let candidates = ["10.0.0.1:1000", "10.0.0.2:2000"].map(host);
        for n in [0, 1] {
            ends[n].rtc.add_local_candidate(candidates[n].clone());
            ends[n].rtc.add_remote_candidate(candidates[1 - n].clone());
        }
        for n in [0, 1] {
            let other = &mut ends[1 - n].rtc;
            let fingerprint = other.direct_api().local_dtls_fingerprint().clone();
            let credentials = other.direct_api().local_ice_credentials();
            let mut api = ends[n].rtc.direct_api();
            api.set_remote_fingerprint(fingerprint);
            api.set_remote_ice_credentials(credentials);
            api.set_ice_controlling(n == 0);
            api.start_dtls(n == 0).expect("DTLS begins");
            api.start_sctp(n == 0);
            ends[n].channel = Some(ends[n].rtc.direct_api().create_data_channel(channel()));
        }
        let mut pair = Self { ends, now, window, carried: 0, longest: 0 };
        pair.ends.iter_mut().for_each(End::drain);
        pair.connect();
        pair
    }

    fn connect(&mut self) {
        for _ in 0..100_000 {
            while self.carry(|_| {}) {}
            if self.ends.iter().all(|end| end.is_open) {
                return;
            }
            self.now = self.ends.iter().map(|end| end.timeout).min().expect("there are two").max(self.now);
            self.tick();
        }
        panic!("no connection");
    }

    /// Sends so many messages, each drained by itself and as soon as there is room, until all have arrived.
    pub fn burst(&mut self, message: &[u8], count: usize) {
        let wanted = self.ends[1].messages + count;
        let mut unsent = count;
        while self.ends[1].messages < wanted {
            self.top_up(message, &mut unsent);
            self.now += DELAY;
            self.carry(|pair| pair.top_up(message, &mut unsent));
            self.tick();
        }
    }

    fn top_up(&mut self, message: &[u8], unsent: &mut usize) {
        while *unsent > 0 && self.write(message) {
            *unsent -= 1;
        }
    }

    fn write(&mut self, message: &[u8]) -> bool {
        let end = &mut self.ends[0];
        let channel = end.channel.expect("it was made");
        let mut channel = end.rtc.channel(channel).expect("it is open");
        if let Window::Bytes(window) = self.window
            && channel.buffered_amount() + message.len() > window
        {
            return false;
        }
        let written = channel.write(true, message).expect("it takes messages of that size");
        end.drain();
        written
    }

    /// Hands over what is under way, and lets something happen after each datagram to the first.
    fn carry(&mut self, mut then: impl FnMut(&mut Self)) -> bool {
        let [there, back] = [0, 1].map(|n| std::mem::take(&mut self.ends[n].outbox));
        self.carried += (there.len() + back.len()) as u64;
        self.longest = there.iter().map(|datagram| datagram.contents.len()).fold(self.longest, usize::max);
        there.iter().for_each(|datagram| self.ends[1].receive(self.now, datagram));
        for datagram in &back {
            self.ends[0].receive(self.now, datagram);
            then(self);
        }
        !there.is_empty() || !back.is_empty()
    }

    fn tick(&mut self) {
        let now = self.now;
        for end in self.ends.iter_mut().filter(|end| end.timeout <= now) {
            end.rtc.handle_input(Input::Timeout(now)).expect("time passes");
            end.drain();
        }
    }
}

impl End {
    fn new(rtc: Rtc, now: Instant) -> Self {
        Self { rtc, channel: None, timeout: now, outbox: VecDeque::new(), is_open: false, messages: 0 }
    }

    fn receive(&mut self, now: Instant, datagram: &Transmit) {
        let Transmit { source, destination, contents, .. } = datagram;
        let contents = contents[..].try_into().expect("it is a datagram of WebRTC");
        let receive = Receive { proto: Protocol::Udp, source: *source, destination: *destination, contents };
        self.rtc.handle_input(Input::Receive(now, receive)).expect("it is the other one's");
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            match self.rtc.poll_output().expect("it works") {
                Output::Timeout(at) => return self.timeout = at,
                Output::Transmit(datagram) => self.outbox.push_back(datagram),
                Output::Event(Event::ChannelOpen(..)) => self.is_open = true,
                Output::Event(Event::ChannelData(_)) => self.messages += 1,
                Output::Event(_) => {}
            }
        }
    }
}

fn host(address: &str) -> Candidate {
    Candidate::host(address.parse().expect("an address"), "udp").expect("it is a candidate")
}

fn channel() -> ChannelConfig {
    let label = "messages".to_owned();
    ChannelConfig {
        label,
        ordered: false,
        reliability: Reliability::Reliable,
        negotiated: Some(0),
        ..ChannelConfig::default()
    }
}
