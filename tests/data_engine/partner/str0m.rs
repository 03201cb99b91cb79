//! str0m as a whole peer, by its direct interface.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use str0m::channel::{ChannelConfig, ChannelId, Reliability, SctpInitData};
use str0m::config::{DtlsVersion, Fingerprint};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, IceCreds, Input, Output, Rtc, RtcConfig};
use switchboard::machine::time::{Epoch, Instant};
use switchboard::stack::peer::engine::{Local, Remote};

use super::{Happened, Limit, Partner, Spec};

/// Bytes that may wait to be sent: its largest message, and as much again; it walks over all of them.
const MOST_BUFFERED: usize = 128 * 1024;

pub(crate) struct Str0m {
    rtc: Rtc,
    epoch: Epoch,
    addresses: [SocketAddr; 2],
    local: Local,
    init: Option<SctpInitData>,
    deadline: Option<Instant>,
    packets: VecDeque<Vec<u8>>,
    happened: VecDeque<Happened>,
    channels: Vec<ChannelId>,
}

/// How it begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begin {
    pub(crate) version: DtlsVersion,
    /// Whether it connects by DTLS and asks for the association: whoever asks has even numbers for its channels, so
    /// that it has to be the same side. ICE is controlled by the other one.
    pub(crate) is_active: bool,
    /// Whether INIT chunks are exchanged beforehand.
    pub(crate) is_snap: bool,
}

impl Str0m {
    /// A peer at the first of the addresses, towards one at the second.
    pub(crate) fn new(now: Instant, epoch: Epoch, addresses: [SocketAddr; 2], begin: Begin) -> Self {
        let mut rtc = RtcConfig::new()
            .set_crypto_provider(str0m::crypto::from_feature_flags().into())
            .set_dtls_version(begin.version)
            .set_sctp_max_buffered_amount(MOST_BUFFERED)
            .clear_codecs()
            .build(epoch.std(now).expect("it is a moment"));
        let IceCreds { ufrag, pass } = rtc.direct_api().local_ice_credentials();
        let fingerprint = rtc.direct_api().local_dtls_fingerprint().bytes.clone();
        let mut init = begin.is_snap.then(SctpInitData::new);
        let sctp_init = init.as_mut().map(|init| init.local_init_chunk().expect("a chunk"));
        let fingerprint = fingerprint.try_into().expect("it is SHA-256");
        let local = Local { ufrag, password: pass, fingerprint, sctp_init };
        let (packets, happened) = (VecDeque::new(), VecDeque::new());
        let channels = Vec::new();
        Self { rtc, epoch, addresses, local, init, deadline: None, packets, happened, channels }
    }

    pub(crate) fn local(&self) -> &Local {
        &self.local
    }

    pub(crate) fn start(&mut self, now: Instant, remote: &Remote, begin: Begin) {
        let [ours, theirs] = self.addresses.map(|at| Candidate::host(at, Protocol::Udp).expect("it is one"));
        self.rtc.add_local_candidate(ours);
        self.rtc.add_remote_candidate(theirs);
        let mut api = self.rtc.direct_api();
        let Remote { ufrag, password, fingerprint, sctp_init, .. } = remote.clone();
        api.set_ice_controlling(false);
        api.set_remote_ice_credentials(IceCreds { ufrag, pass: password });
        api.set_remote_fingerprint(Fingerprint { hash_func: "sha-256".to_owned(), bytes: fingerprint.to_vec() });
        api.start_dtls(begin.is_active).expect("DTLS starts");
        match (self.init.take(), sctp_init) {
            (Some(mut init), Some(chunk)) => {
                init.set_remote_init_chunk(chunk);
                api.start_sctp_with_snap(begin.is_active, init).expect("SCTP starts");
            }
            _ => api.start_sctp(begin.is_active),
        }
        self.on_timeout(now);
    }

    /// A channel whose number both sides know.
    pub(crate) fn agree(&mut self, spec: &Spec, number: u16) {
        self.create(spec, Some(number));
    }

    fn create(&mut self, spec: &Spec, negotiated: Option<u16>) -> u16 {
        let reliability = match spec.limit {
            Limit::None => Reliability::Reliable,
            Limit::Retransmits(retransmits) => Reliability::MaxRetransmits { retransmits },
            Limit::Lifetime(time) => {
                Reliability::MaxPacketLifetime { lifetime: time.as_millis().try_into().expect("it is short") }
            }
        };
        let (label, ordered) = (spec.label.clone(), spec.is_ordered);
        let config = ChannelConfig { label, ordered, reliability, negotiated, protocol: "test".to_owned() };
        self.channels.push(self.rtc.direct_api().create_data_channel(config));
        self.name(self.channels[self.channels.len() - 1])
    }

    fn name(&self, id: ChannelId) -> u16 {
        let place = self.channels.iter().position(|known| *known == id).expect("a channel that is known");
        u16::try_from(place).expect("few channels")
    }

    fn drain(&mut self) {
        let at = loop {
            match self.rtc.poll_output().expect("str0m goes on") {
                Output::Timeout(at) => break at,
                Output::Transmit(transmit) => self.packets.push_back(transmit.contents.to_vec()),
                Output::Event(event) => self.on_event(event),
            }
        };
        let at = self.epoch.instant(at);
        self.deadline = (at.since(Instant::ZERO) < Duration::from_secs(1_000_000)).then_some(at);
    }

    fn on_event(&mut self, event: Event) {
        let happened = match event {
            Event::Connected => Happened::Connected,
            Event::ChannelOpen(id, label) => {
                if !self.channels.contains(&id) {
                    self.channels.push(id);
                }
                let spec = self.rtc.channel(id).and_then(|channel| channel.config().map(spec_of));
                Happened::Open { channel: self.name(id), label, spec }
            }
            Event::ChannelData(data) => {
                Happened::Message { channel: self.name(data.id), is_binary: data.binary, bytes: data.data }
            }
            Event::ChannelClose(id) => Happened::Closed(self.name(id)),
            Event::Closed => Happened::Over("closed".to_owned()),
            _ => return,
        };
        self.happened.push_back(happened);
    }
}

fn spec_of(config: &ChannelConfig) -> Spec {
    let limit = match config.reliability {
        Reliability::Reliable => Limit::None,
        Reliability::MaxRetransmits { retransmits } => Limit::Retransmits(retransmits),
        Reliability::MaxPacketLifetime { lifetime } => Limit::Lifetime(Duration::from_millis(lifetime.into())),
    };
    Spec { label: config.label.clone(), is_ordered: config.ordered, limit }
}

impl Partner for Str0m {
    /// It has been told at its start.
    fn connect(&mut self, _: Instant) {}

    fn receive(&mut self, now: Instant, datagram: &mut [u8]) {
        let at = self.epoch.std(now).expect("it is a moment");
        let [destination, source] = self.addresses;
        let contents = (&*datagram).try_into().expect("a datagram of some kind");
        let receive = Receive { proto: Protocol::Udp, source, destination, contents };
        self.rtc.handle_input(Input::Receive(at, receive)).expect("str0m goes on");
        self.drain();
    }

    fn poll_datagram(&mut self, _: Instant) -> Option<Vec<u8>> {
        self.packets.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn on_timeout(&mut self, now: Instant) {
        let at = self.epoch.std(now).expect("it is a moment");
        self.rtc.handle_input(Input::Timeout(at)).expect("str0m goes on");
        self.drain();
    }

    /// By its direct interface it is not told what the other side takes, and assumes this.
    fn largest(&self) -> usize {
        64 * 1024
    }

    /// An empty one takes its place in the order, and is not sent: the channel stands still.
    fn smallest(&self) -> usize {
        1
    }

    fn open(&mut self, now: Instant, spec: &Spec) -> u16 {
        let name = self.create(spec, None);
        self.on_timeout(now);
        name
    }

    fn close(&mut self, now: Instant, channel: u16) {
        let id = self.channels[usize::from(channel)];
        self.rtc.direct_api().close_data_channel(id);
        self.on_timeout(now);
    }

    fn write(&mut self, _: Instant, channel: u16, is_binary: bool, message: &[u8]) -> bool {
        let id = self.channels[usize::from(channel)];
        let Some(mut open) = self.rtc.channel(id) else { return false };
        let is_taken = open.write(is_binary, message).expect("it is written or not");
        if is_taken {
            self.drain();
        }
        is_taken
    }

    fn shutdown(&mut self, now: Instant) {
        self.rtc.close().expect("it is closed");
        self.on_timeout(now);
    }

    fn abort(&mut self, now: Instant) {
        self.shutdown(now);
    }

    fn poll(&mut self, _: Instant) -> Option<Happened> {
        self.happened.pop_front()
    }

    fn counters(&self) -> String {
        format!("str0m: {} channels", self.channels.len())
    }
}
