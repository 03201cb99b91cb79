//! Two peers of the crate `rtc`, the core of webrtc-rs.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc::data_channel::{RTCDataChannelId, RTCDataChannelInit};
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::peer_connection::event::{RTCDataChannelEvent, RTCPeerConnectionEvent};
use rtc::peer_connection::message::RTCMessage;
use rtc::peer_connection::transport::{CandidateConfig, CandidateHostConfig, RTCDtlsRole, RTCIceCandidate};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

/// Bytes that may be unacknowledged: `rtc` is at its best with about that.
const WINDOW: usize = 128 * 1024;

/// A connected pair with one channel.
pub struct Pair {
    ends: [End; 2],
    now: Instant,
}

struct End {
    rtc: RTCPeerConnection,
    channel: RTCDataChannelId,
    local: SocketAddr,
    remote: SocketAddr,
    outbox: VecDeque<BytesMut>,
    is_open: bool,
    messages: usize,
}

impl Pair {
    #[expect(clippy::new_without_default, reason = "it connects")]
    pub fn new() -> Self {
        let now = Instant::now();
        let addresses = ["10.0.0.1:1000", "10.0.0.2:2000"].map(|address| address.parse().expect("an address"));
        let roles = [RTCDtlsRole::Server, RTCDtlsRole::Client];
        let [mut a, mut b] = [0, 1].map(|n| End::new(now, roles[n], addresses[n], addresses[1 - n]));
        let offer = a.rtc.create_offer(None).expect("it offers");
        a.rtc.set_local_description(now, offer.clone()).expect("it is its own");
        b.rtc.set_remote_description(now, offer).expect("it is an offer");
        let answer = b.rtc.create_answer(None).expect("it answers");
        b.rtc.set_local_description(now, answer.clone()).expect("it is its own");
        a.rtc.set_remote_description(now, answer).expect("it is an answer");
        let mut pair = Self { ends: [a, b], now };
        pair.connect();
        pair
    }

    fn connect(&mut self) {
        self.ends.iter_mut().for_each(End::drain);
        for round in 0..100_000 {
            self.exchange();
            if self.ends.iter().all(|end| end.is_open) {
                return;
            }
            let now = self.now;
            let next = self.ends.iter_mut().filter_map(|end| end.rtc.poll_timeout()).min();
            self.now = next.unwrap_or(now).max(now);
            if round % 64 == 0 {
                self.now += Duration::from_millis(1);
            }
            self.tick();
        }
        panic!("no connection");
    }

    /// Sends so many messages, each drained by itself, until all have arrived.
    pub fn burst(&mut self, message: &[u8], count: usize) {
        let wanted = self.ends[1].messages + count;
        let mut unsent = count;
        while self.ends[1].messages < wanted {
            while unsent > 0 && self.write(message) {
                unsent -= 1;
            }
            self.exchange();
            self.now += Duration::from_micros(25);
            self.tick();
        }
    }

    fn write(&mut self, message: &[u8]) -> bool {
        let end = &mut self.ends[0];
        let mut channel = end.rtc.data_channel(end.channel).expect("it is open");
        if channel.outstanding_bytes() + message.len() > WINDOW {
            return false;
        }
        channel.send(self.now, BytesMut::from(message)).expect("it takes messages of that size");
        end.drain();
        true
    }

    fn exchange(&mut self) {
        while !self.ends.iter().all(|end| end.outbox.is_empty()) {
            for n in [0, 1] {
                while let Some(datagram) = self.ends[n].outbox.pop_front() {
                    self.ends[1 - n].receive(self.now, datagram);
                }
            }
        }
    }

    fn tick(&mut self) {
        let now = self.now;
        for end in &mut self.ends {
            if end.rtc.poll_timeout().is_some_and(|at| at <= now) {
                end.rtc.handle_timeout(now).expect("time passes");
                end.drain();
            }
        }
    }
}

impl End {
    fn new(now: Instant, role: RTCDtlsRole, local: SocketAddr, remote: SocketAddr) -> Self {
        let settings = SettingEngineBuilder::new().with_answering_dtls_role(role).build();
        let builder = RTCPeerConnectionBuilder::new().with_configuration(RTCConfigurationBuilder::new().build());
        let mut rtc = builder.with_setting_engine(settings).build(now).expect("it is made");
        rtc.add_local_candidate(candidate(local)).expect("it is a candidate");
        let init = RTCDataChannelInit { ordered: true, negotiated: Some(1), ..RTCDataChannelInit::default() };
        let channel = rtc.create_data_channel("messages", Some(init)).expect("it has channels").id();
        Self { rtc, channel, local, remote, outbox: VecDeque::new(), is_open: false, messages: 0 }
    }

    fn receive(&mut self, now: Instant, message: BytesMut) {
        let transport = TransportContext {
            local_addr: self.local,
            peer_addr: self.remote,
            ecn: None,
            transport_protocol: TransportProtocol::UDP,
        };
        // It answers an error to datagrams that come too early.
        _ = self.rtc.handle_read(TaggedBytesMut { now, transport, message });
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(datagram) = self.rtc.poll_write() {
            self.outbox.push_back(datagram.message);
        }
        while let Some(event) = self.rtc.poll_event() {
            let is_open =
                |event| matches!(event, RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnOpen(_)));
            self.is_open |= is_open(event);
        }
        while let Some(read) = self.rtc.poll_read() {
            self.messages += usize::from(matches!(read.message, RTCMessage::DataChannelMessage(..)));
        }
    }
}

fn candidate(address: SocketAddr) -> rtc::peer_connection::transport::RTCIceCandidateInit {
    let base_config = CandidateConfig {
        network: "udp".to_owned(),
        address: address.ip().to_string(),
        port: address.port(),
        component: 1,
        ..CandidateConfig::default()
    };
    let config = CandidateHostConfig { base_config, ..CandidateHostConfig::default() };
    let candidate = config.new_candidate_host().expect("it is a candidate");
    RTCIceCandidate::from(&candidate).to_json().expect("it has a form")
}
