//! UDP as the system offers it: batches by GSO and GRO, ECN, and which of our addresses is meant.
//!
//! Each driver has this module: sockets differ in how they tell that they are ready, not in what they do then.
//!
//! The contract wants a batch sent whole, and the system takes it in parts: as many datagrams as GSO allows, one where
//! there is no GSO. How much of a batch has left is remembered here, so that a batch which met a full buffer goes on
//! where it stopped when the pump brings it again, and nothing leaves twice. A part that is refused for good takes
//! the rest of its batch with it.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};

use quinn_udp::{EcnCodepoint, RecvMeta, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};
use switchboard::machine::datagram::{Ecn, Received, Transmit};

/// The size of [`Udp::receive`]'s buffer, in bytes.
pub(crate) const CHUNK: usize = SLOTS * SLOT;
/// Batches received by one system call.
const SLOTS: usize = 8;
/// No batch of GRO and no datagram is larger, in bytes: UDP's own length has 16 bits (RFC 768).
const SLOT: usize = 64 * 1024;
/// The largest payload of one system call, in bytes: what UDP carries over IPv4.
const LARGEST: usize = 65_507;
/// Asked of the system for what waits to be received, in bytes: some 30 ms at 1 Gbit/s. It may grant less.
const RECEIVE_BUFFER: usize = 4 << 20;
/// At least so much may wait to be sent, in bytes: the largest datagram, where a system's default has no room for it.
const SEND_BUFFER: usize = 2 * SLOT;

/// A bound socket's other half: what quinn-udp knows of it, and what is under way.
pub(crate) struct Udp {
    state: UdpSocketState,
    ipv4: bool,
    offloads: bool,
    progress: Progress,
}

/// How many bytes of the batch in hand have left.
#[derive(Debug, Default)]
struct Progress(usize);

impl Udp {
    /// A socket that does not block, and its other half. One on an IPv6 address has nothing to do with IPv4.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<(UdpSocket, Self)> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        widen(&socket);
        socket.bind(&address.into())?;
        let state = UdpSocketState::new((&socket).into())?;
        let udp = Self { state, ipv4: address.is_ipv4(), offloads: true, progress: Progress::default() };
        Ok((socket.into(), udp))
    }

    /// See [`Sockets::try_send_datagrams`](switchboard::machine::pump::Sockets::try_send_datagrams).
    pub(crate) fn send<S>(&mut self, socket: &S, transmit: &Transmit, bytes: &[u8]) -> io::Result<()>
    where
        for<'a> UdpSockRef<'a>: From<&'a S>,
    {
        let Transmit { destination, source, segment, .. } = *transmit;
        let foreign = destination.is_ipv4() != self.ipv4 || source.is_some_and(|source| source.is_ipv4() != self.ipv4);
        // The system refuses these too, but so that quinn-udp would think less of the system.
        if foreign || destination.port() == 0 || segment == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut progress = std::mem::take(&mut self.progress);
        let result = progress.send(bytes, |rest| self.send_some(socket, transmit, rest));
        self.progress = progress;
        result
    }

    /// Sends the first of `rest`; how many bytes.
    fn send_some<S>(&mut self, socket: &S, transmit: &Transmit, rest: &[u8]) -> io::Result<usize>
    where
        for<'a> UdpSockRef<'a>: From<&'a S>,
    {
        let segments = if self.offloads { self.state.max_gso_segments() } else { 1 };
        let most = part(transmit.segment, segments).min(rest.len());
        match self.attempt(socket, transmit, &rest[..most]) {
            Err(error) if most > transmit.segment && may_lack_offload(&error) => {
                self.attempt(socket, transmit, &rest[..transmit.segment])?;
                self.offloads = false;
                Ok(transmit.segment)
            }
            result => result.map(|()| most),
        }
    }

    fn attempt<S>(&mut self, socket: &S, transmit: &Transmit, contents: &[u8]) -> io::Result<()>
    where
        for<'a> UdpSockRef<'a>: From<&'a S>,
    {
        let outgoing = quinn_udp::Transmit {
            destination: transmit.destination,
            ecn: transmit.ecn.and_then(|ecn| EcnCodepoint::from_bits(ecn.bits())),
            contents,
            segment_size: Some(transmit.segment),
            src_ip: transmit.source,
        };
        let result = self.state.try_send(socket.into(), &outgoing);
        if result.as_ref().is_err_and(may_lack_offload) {
            // quinn-udp now does without GSO and ECN for good, though an address that has gone is refused alike.
            self.state = UdpSocketState::new(socket.into())?;
        }
        result
    }

    /// See [`Sockets::try_recv_datagrams`](switchboard::machine::pump::Sockets::try_recv_datagrams).
    pub(crate) fn receive<S>(&self, socket: &S, buf: &mut [u8], received: &mut Vec<Received>) -> io::Result<()>
    where
        for<'a> UdpSockRef<'a>: From<&'a S>,
    {
        let count = (buf.len() / SLOT).min(SLOTS);
        let mut memory = buf.chunks_exact_mut(SLOT);
        let mut slots: [_; SLOTS] = std::array::from_fn(|_| IoSliceMut::new(memory.next().unwrap_or_default()));
        let mut metas = [RecvMeta::default(); SLOTS];
        let came = self.state.recv(socket.into(), &mut slots[..count], &mut metas[..count])?;
        let batches = metas[..came].iter().enumerate();
        received.extend(batches.map(|(slot, meta)| Received {
            source: meta.addr,
            destination: meta.dst_ip,
            ecn: meta.ecn.and_then(|ecn| Ecn::from_bits(ecn as u8)),
            start: slot * SLOT,
            len: meta.len,
            segment: meta.stride.max(1),
        }));
        Ok(())
    }
}

impl Progress {
    /// Sends what has not left yet by `send_some`, which tells how many bytes it sent.
    fn send(&mut self, bytes: &[u8], send_some: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<()> {
        let result = self.go_on(bytes, send_some);
        let error = result.as_ref().err().map(io::Error::kind);
        if !matches!(error, Some(io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)) {
            self.0 = 0;
        }
        result
    }

    fn go_on(&mut self, bytes: &[u8], mut send_some: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<()> {
        loop {
            self.0 += send_some(&bytes[self.0..])?;
            if self.0 >= bytes.len() {
                return Ok(());
            }
        }
    }
}

/// What one system call takes, in bytes: whole datagrams, at least one.
fn part(segment: usize, segments: usize) -> usize {
    segment * (LARGEST / segment).clamp(1, segments.max(1))
}

/// Some network cards, and some systems' checks of arguments, say so of GSO.
fn may_lack_offload(error: &io::Error) -> bool {
    /// EIO and EINVAL on every Unix; the standard library has no kind for the former.
    const CODES: [i32; 2] = [5, 22];
    cfg!(unix) && error.raw_os_error().is_some_and(|code| CODES.contains(&code))
}

/// Some systems refuse what is too much, others grant what they can.
fn widen(socket: &Socket) {
    if socket.send_buffer_size().is_ok_and(|granted| granted < SEND_BUFFER) {
        _ = socket.set_send_buffer_size(SEND_BUFFER);
    }
    let mut size = RECEIVE_BUFFER;
    while socket.recv_buffer_size().is_ok_and(|granted| granted < size) && socket.set_recv_buffer_size(size).is_err() {
        size /= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_met_a_full_buffer_goes_on_where_it_stopped() {
        let (mut progress, mut left) = (Progress::default(), Vec::new());
        let bytes: Vec<u8> = (0..10).collect();
        let mut room = [3, 0, 4, 0, 0, 3].into_iter();
        let mut refusals = 0;
        while let Err(error) = progress.send(&bytes, |rest| match room.next() {
            Some(0) | None => Err(io::ErrorKind::WouldBlock.into()),
            Some(n) => {
                left.extend_from_slice(&rest[..n]);
                Ok(n)
            }
        }) {
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            refusals += 1;
        }
        assert_eq!((left, refusals), (bytes, 3));
    }

    #[test]
    fn what_was_refused_for_good_does_not_shorten_the_next_batch() {
        let mut progress = Progress::default();
        let mut calls = [Ok(2), Err(io::ErrorKind::PermissionDenied.into())].into_iter();
        progress.send(&[1; 4], |_| calls.next().unwrap()).unwrap_err();
        let mut left = Vec::new();
        let all = |rest: &[u8]| {
            left.extend_from_slice(rest);
            Ok(rest.len())
        };
        progress.send(&[2; 3], all).unwrap();
        assert_eq!(left, [2; 3]);
    }

    #[test]
    fn a_part_holds_whole_datagrams_and_no_more_than_udp_carries() {
        assert_eq!(part(1200, 64), 54 * 1200);
        assert_eq!(part(100, 64), 6400);
        assert_eq!(part(1200, 1), 1200);
        assert_eq!(part(60_000, 64), 60_000);
        assert_eq!(part(70_000, 64), 70_000);
    }

    #[test]
    fn a_refusal_leaves_offload_and_ecn_as_they_were() {
        let (socket, mut udp) = Udp::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let destination = socket.local_addr().unwrap();
        let segments = udp.state.max_gso_segments();
        let elsewhere = Transmit { source: Some([192, 0, 2, 1].into()), ..Transmit::to(destination, 100) };
        udp.send(&socket, &elsewhere, &[0; 1000]).unwrap_err();
        let marked = Transmit { ecn: Some(Ecn::Ect0), ..Transmit::to(destination, 100) };
        udp.send(&socket, &marked, &[0; 1000]).unwrap();
        assert_eq!((udp.offloads, udp.state.max_gso_segments()), (true, segments));
        let (mut buf, mut received) = (vec![0; CHUNK], Vec::new());
        udp.receive(&socket, &mut buf, &mut received).unwrap();
        assert!(received.iter().all(|batch| batch.ecn == Some(Ecn::Ect0)), "{received:?}");
    }
}
