//! Datagrams that were received by one call and are handed over batch by batch.

use std::io;

use crate::machine::datagram::{Datagrams, Received};
use crate::machine::ids::PortId;

/// The batches in hand, all of one port. Their memory is kept between uses.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    port: Option<PortId>,
    chunk: Vec<u8>,
    batches: Vec<Received>,
    batch: usize,
}

impl Inbound {
    /// Receives into a buffer of `size` bytes. The last batches must have been handed over.
    pub(super) fn receive(
        &mut self,
        port: PortId,
        size: usize,
        receive: impl FnOnce(&mut [u8], &mut Vec<Received>) -> io::Result<()>,
    ) -> Result<(), io::ErrorKind> {
        if self.chunk.len() < size {
            // Not by growing: fresh zeroes come from the system untouched, and most of them stay so.
            self.chunk = vec![0; size];
        }
        self.batches.clear();
        (self.port, self.batch) = (Some(port), 0);
        receive(&mut self.chunk, &mut self.batches).map_err(|error| error.kind())
    }

    /// The next batch in hand.
    pub(super) fn next(&mut self) -> Option<(PortId, Datagrams<'_>)> {
        let Received { source, destination, ecn, start, len, segment } = *self.batches.get(self.batch)?;
        self.batch += 1;
        let data = &mut self.chunk[start..start + len];
        Some((self.port?, Datagrams::new(source, destination, ecn, segment, data)))
    }
}
