//! Our own association as one side, without anything below it.

use switchboard::link::sctp::{Association, ChannelConfig, Config, Event, Opened, Reliability};
use switchboard::machine::rng::Rng;
use switchboard::machine::time::Instant;

use crate::partner::{Happened, Limit, Partner, Spec};

pub(crate) struct Own {
    association: Association,
    is_client: bool,
}

impl Own {
    pub(crate) fn new(config: Config, is_client: bool, seed: u64) -> Self {
        let mut association = Association::new(config, &mut Rng::from_u64(seed));
        association.listen(is_client);
        Self { association, is_client }
    }
}

impl Partner for Own {
    fn connect(&mut self, now: Instant) {
        self.association.connect(now, self.is_client);
    }

    fn receive(&mut self, now: Instant, datagram: &mut [u8]) {
        self.association.receive(now, datagram);
    }

    fn poll_datagram(&mut self, now: Instant) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        self.association.fill(now, &mut out).then_some(out)
    }

    fn deadline(&self) -> Option<Instant> {
        self.association.deadline().map(|deadline| deadline.at)
    }

    fn on_timeout(&mut self, now: Instant) {
        self.association.on_timeout(now);
    }

    fn open(&mut self, now: Instant, spec: &Spec) -> u16 {
        let config = ChannelConfig {
            label: spec.label.clone(),
            protocol: "test".to_owned(),
            is_ordered: spec.is_ordered,
            reliability: reliability(spec.limit),
            ..ChannelConfig::default()
        };
        self.association.open(now, config).expect("it can be opened")
    }

    fn close(&mut self, now: Instant, channel: u16) {
        self.association.close_channel(now, channel);
    }

    fn write(&mut self, now: Instant, channel: u16, is_binary: bool, message: &[u8]) -> bool {
        self.association.write(now, channel, is_binary, message)
    }

    fn shutdown(&mut self, now: Instant) {
        self.association.shutdown(now);
    }

    fn abort(&mut self, now: Instant) {
        self.association.abort(now, "enough");
    }

    fn poll(&mut self, now: Instant) -> Option<Happened> {
        if let Some(event) = self.association.poll_event() {
            return told(event).or_else(|| self.poll(now));
        }
        let message = self.association.recv(now)?;
        let (channel, is_binary, bytes) = (message.stream, message.is_binary, message.bytes.to_vec());
        Some(Happened::Message { channel, is_binary, bytes })
    }

    fn counters(&self) -> String {
        format!("own: {:?}", self.association.statistics())
    }
}

fn told(event: Event) -> Option<Happened> {
    Some(match event {
        Event::Connected => Happened::Connected,
        Event::Open(opened) => {
            let spec = spec_of(&opened);
            Happened::Open { channel: opened.stream, label: opened.label, spec: Some(spec) }
        }
        Event::Closed(stream) => Happened::Closed(stream),
        Event::Writable => return None,
        Event::Over(over) => Happened::Over(over.to_string()),
    })
}

fn reliability(limit: Limit) -> Reliability {
    match limit {
        Limit::None => Reliability::Reliable,
        Limit::Retransmits(count) => Reliability::MaxRetransmits(count),
        Limit::Lifetime(time) => Reliability::MaxLifetime(time),
    }
}

fn spec_of(opened: &Opened) -> Spec {
    let limit = match opened.reliability {
        Reliability::Reliable => Limit::None,
        Reliability::MaxRetransmits(count) => Limit::Retransmits(count),
        Reliability::MaxLifetime(time) => Limit::Lifetime(time),
    };
    Spec { label: opened.label.clone(), is_ordered: opened.is_ordered, limit }
}
