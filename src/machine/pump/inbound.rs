//! Datagrams that were received at once and are handed over one by one.

use std::io;

use crate::machine::datagram::{Datagram, Received};
use crate::machine::ids::PortId;

/// The batches in hand, all of one port. Their memory is kept between uses.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    port: Option<PortId>,
    chunk: Vec<u8>,
    batches: Vec<Received>,
    batch: usize,
    offset: usize,
}

impl Inbound {
    /// Receives into a buffer of `size` bytes; how many came. The last ones must have been handed over.
    pub(super) fn receive(
        &mut self,
        port: PortId,
        size: usize,
        receive: impl FnOnce(&mut [u8], &mut Vec<Received>) -> io::Result<()>,
    ) -> Result<usize, io::ErrorKind> {
        if self.chunk.len() < size {
            // Not by growing: fresh zeroes come from the system untouched, and most of them stay so.
            self.chunk = vec![0; size];
        }
        self.batches.clear();
        (self.port, self.batch, self.offset) = (Some(port), 0, 0);
        receive(&mut self.chunk, &mut self.batches).map_err(|error| error.kind())?;
        Ok(self.batches.iter().map(|batch| batch.len).sum())
    }

    /// The next datagram in hand.
    pub(super) fn next(&mut self) -> Option<(PortId, Datagram<'_>)> {
        let batch = self.batches.get(self.batch)?;
        let start = batch.start + self.offset;
        let end = (start + batch.segment.max(1)).min(batch.start + batch.len);
        self.offset += batch.segment.max(1);
        let (source, destination, ecn) = (batch.source, batch.destination, batch.ecn);
        if self.offset >= batch.len {
            (self.batch, self.offset) = (self.batch + 1, 0);
        }
        Some((self.port?, Datagram { source, destination, ecn, data: &mut self.chunk[start..end] }))
    }
}
