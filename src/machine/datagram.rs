//! Datagrams: what crosses a port that was opened by [`PortSpec::Bind`](super::port::PortSpec::Bind).
//!
//! Both ways they travel in batches, as kernels like it: one `fill` may write several datagrams of one size to one
//! destination (GSO), and one receive may bring several of one size from one source (GRO). A machine takes such a batch
//! as one input, so that what follows from it follows once: whose it is, an acknowledgement, a deadline.

use std::net::{IpAddr, SocketAddr};

/// Explicit congestion notification, the two low bits of the traffic class (RFC 3168, section 5). Not-ECT is `None`
/// of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ecn {
    /// ECT(1), `01`.
    Ect1,
    /// ECT(0), `10`.
    Ect0,
    /// Congestion experienced, `11`.
    Ce,
}

impl Ecn {
    /// The codepoint's two bits: 1 to 3.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Ect1 => 1,
            Self::Ect0 => 2,
            Self::Ce => 3,
        }
    }

    /// What the low two bits of a traffic class say; `None` is Not-ECT.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits & 3 {
            1 => Some(Self::Ect1),
            2 => Some(Self::Ect0),
            3 => Some(Self::Ce),
            _ => None,
        }
    }
}

/// Datagrams that have come at once: at least one, all from one source to one of our addresses.
///
/// It is an iterator over them, in the order in which they came.
#[derive(Debug)]
pub struct Datagrams<'a> {
    source: SocketAddr,
    destination: Option<IpAddr>,
    ecn: Option<Ecn>,
    segment: usize,
    rest: Option<&'a mut [u8]>,
}

impl<'a> Datagrams<'a> {
    /// The datagrams of `data`, each of `segment` bytes but the last, which may be shorter. No bytes are one empty
    /// datagram.
    pub fn new(
        source: SocketAddr,
        destination: Option<IpAddr>,
        ecn: Option<Ecn>,
        segment: usize,
        data: &'a mut [u8],
    ) -> Self {
        Self { source, destination, ecn, segment: segment.max(1), rest: Some(data) }
    }

    /// Who sent them, as far as we can see.
    pub const fn source(&self) -> SocketAddr {
        self.source
    }

    /// How many bytes are left in all.
    pub fn len(&self) -> usize {
        self.rest.as_ref().map_or(0, |rest| rest.len())
    }

    /// Whether no datagram is left.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_none()
    }
}

impl<'a> From<Datagram<'a>> for Datagrams<'a> {
    fn from(one: Datagram<'a>) -> Self {
        let Datagram { source, destination, ecn, data } = one;
        Self::new(source, destination, ecn, data.len(), data)
    }
}

impl<'a> Iterator for Datagrams<'a> {
    type Item = Datagram<'a>;

    fn next(&mut self) -> Option<Datagram<'a>> {
        let rest = self.rest.take()?;
        let (data, rest) = rest.split_at_mut(self.segment.min(rest.len()));
        self.rest = Some(rest).filter(|rest| !rest.is_empty());
        Some(Datagram { source: self.source, destination: self.destination, ecn: self.ecn, data })
    }
}

/// One datagram that has come.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// Who sent it, as far as we can see.
    pub source: SocketAddr,
    /// Which of our addresses it came to; `None` where the system does not tell.
    pub destination: Option<IpAddr>,
    /// What the network says about congestion.
    pub ecn: Option<Ecn>,
    /// Its payload, lent to be decrypted in place.
    pub data: &'a mut [u8],
}

/// Where a batch goes that [`fill`](super::Machine::fill) wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmit {
    /// Who shall receive it.
    pub destination: SocketAddr,
    /// Which of our addresses it leaves from; `None` lets the system choose.
    pub source: Option<IpAddr>,
    /// What it says about congestion.
    pub ecn: Option<Ecn>,
    /// The size in bytes of each datagram in the batch but the last, which may be shorter. At least 1.
    pub segment: usize,
}

impl Transmit {
    /// A batch from any of our addresses, without ECN, in datagrams of `segment` bytes.
    pub const fn to(destination: SocketAddr, segment: usize) -> Self {
        Self { destination, source: None, ecn: None, segment }
    }
}

/// Where in a receive buffer a batch lies, and where it is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Who sent it.
    pub source: SocketAddr,
    /// Which of our addresses it came to; `None` where the system does not tell.
    pub destination: Option<IpAddr>,
    /// What the network says about congestion.
    pub ecn: Option<Ecn>,
    /// Where in the buffer it begins.
    pub start: usize,
    /// How many bytes it has in all; 0 is one empty datagram.
    pub len: usize,
    /// The size of each datagram but the last, which may be shorter.
    pub segment: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(len: usize, segment: usize) -> Vec<usize> {
        let source = SocketAddr::from(([192, 0, 2, 1], 1));
        Datagrams::new(source, None, None, segment, &mut vec![0; len]).map(|one| one.data.len()).collect()
    }

    #[test]
    fn all_but_the_last_are_of_one_size() {
        assert_eq!(lengths(10, 4), [4, 4, 2]);
        assert_eq!(lengths(8, 4), [4, 4]);
        assert_eq!(lengths(3, 1200), [3]);
    }

    #[test]
    fn no_bytes_are_one_empty_datagram() {
        assert_eq!(lengths(0, 1200), [0]);
        assert_eq!(lengths(2, 0), [1, 1]);
    }
}
