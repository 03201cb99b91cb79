//! Who watches a world: a hash over all that happened, counts of what was dropped and, if asked for, records.

use super::packet::Carried;
use super::timeline::{DropReason, NodeId, Record, Recording, What};
use super::transcript::Transcript;
use crate::machine::time::Instant;

#[derive(Debug)]
pub(super) struct Observer {
    transcript: Transcript,
    /// Contents are left out of the transcript: all, or those from and to these ports.
    is_blind: bool,
    blind_ports: Vec<u16>,
    drops: [u64; DropReason::ALL.len()],
    recorder: Option<Recorder>,
}

#[derive(Debug)]
struct Recorder {
    recording: Recording,
    records: Vec<Record>,
    lost: u64,
}

impl Observer {
    pub(super) const fn new(seed: u64) -> Self {
        Self {
            transcript: Transcript::new(seed),
            is_blind: false,
            blind_ports: Vec::new(),
            drops: [0; DropReason::ALL.len()],
            recorder: None,
        }
    }

    pub(super) const fn hash(&self) -> u64 {
        self.transcript.hash()
    }

    /// From now on contents are left out of the hash.
    pub(super) const fn leave_contents_out(&mut self) {
        self.is_blind = true;
    }

    /// Contents from and to that port are.
    pub(super) fn leave_contents_out_of(&mut self, port: u16) {
        self.blind_ports.push(port);
    }

    pub(super) fn drops(&self) -> impl Iterator<Item = (DropReason, u64)> {
        DropReason::ALL.into_iter().zip(self.drops).filter(|(_, count)| *count > 0)
    }

    pub(super) fn record(&mut self, recording: Recording) {
        self.recorder = Some(Recorder { recording, records: Vec::new(), lost: 0 });
    }

    pub(super) const fn is_recording(&self) -> bool {
        self.recorder.is_some()
    }

    /// The records so far, and how many found no room.
    pub(super) fn records(&self) -> (&[Record], u64) {
        self.recorder.as_ref().map_or((&[], 0), |recorder| (&recorder.records, recorder.lost))
    }

    /// Something happened that belongs to the run.
    pub(super) const fn note(&mut self, at: Instant, node: NodeId, kind: &'static str, size: usize) {
        self.transcript.note(at, node, kind, size);
    }

    pub(super) fn sent(&mut self, at: Instant, carried: &Carried) {
        self.keep_packet(at, carried.origin, carried, What::Sent);
    }

    pub(super) fn forwarded(&mut self, at: Instant, node: NodeId, carried: &Carried) {
        self.keep_packet(at, node, carried, What::Forwarded);
    }

    pub(super) fn delivered(&mut self, at: Instant, node: NodeId, carried: &Carried) {
        self.note_packet(at, node, carried.packet.name(), carried);
        self.keep_packet(at, node, carried, What::Delivered);
    }

    pub(super) fn dropped(&mut self, at: Instant, node: NodeId, carried: &Carried, reason: DropReason) {
        self.note_packet(at, node, reason.code(), carried);
        self.drops[reason as usize] += 1;
        self.keep_packet(at, node, carried, |frame| What::Dropped(frame, reason));
    }

    fn note_packet(&mut self, at: Instant, node: NodeId, kind: &str, carried: &Carried) {
        self.transcript.note(at, node, kind, carried.packet.size());
        let is_of_blind_port = |port| carried.packet.ports().contains(port);
        if !self.is_blind && !self.blind_ports.iter().any(is_of_blind_port) {
            self.transcript.add_bytes(carried.packet.contents());
        }
    }

    /// Keeps what is no packet; the text is made only if it is kept.
    pub(super) fn keep(&mut self, at: Instant, node: NodeId, what: impl FnOnce() -> What) {
        if let Some(recorder) = &mut self.recorder {
            recorder.keep(|_| Record { at, node, what: what() });
        }
    }

    fn keep_packet(
        &mut self,
        at: Instant,
        node: NodeId,
        carried: &Carried,
        what: impl FnOnce(super::timeline::Frame) -> What,
    ) {
        if let Some(recorder) = &mut self.recorder {
            recorder.keep(|recording| {
                let frame = carried.packet.frame(carried.number, recording.payloads);
                Record { at, node, what: what(frame) }
            });
        }
    }
}

impl Recorder {
    fn keep(&mut self, record: impl FnOnce(&Recording) -> Record) {
        if self.records.len() >= self.recording.most {
            self.lost += 1;
            return;
        }
        self.records.push(record(&self.recording));
    }
}
