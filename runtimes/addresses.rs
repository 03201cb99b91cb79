//! The host's own addresses: read from the system when somebody wants to know of them, and again and again from then on.
//!
//! Each driver has this module and calls [`Addresses::look`] every [`PERIOD`] while a port wants it; where there is
//! none, nothing is read and nobody is woken. Whatever the number of ports, one look is one reading, and all drivers of
//! a process share readings that are less than [`FRESH`] old. Systems have ways to be told of changes instead, each its
//! own; a reading costs some tens of microseconds.
//!
//! Link-local addresses of IPv6 are left out, because without a zone they lead nowhere. Deprecated ones are not:
//! connections live on over them (RFC 4862, section 5.5.4), and must not be taken for lost. An interface that has
//! lost its carrier keeps the addresses that the system leaves it, since connections survive a short loss.

use std::io;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use switchboard::machine::ids::{PortId, Table};
use switchboard::machine::port::Addrs;

/// From one look to the next.
pub(crate) const PERIOD: Duration = Duration::from_millis(500);
/// A reading serves others for so long.
const FRESH: Duration = Duration::from_millis(100);

static LAST: Mutex<Option<(Instant, Addrs)>> = Mutex::new(None);

/// The ports that want to know, and what they were told.
pub(crate) struct Addresses {
    read: Box<dyn FnMut() -> io::Result<Addrs> + Send>,
    ports: Table<PortId, ()>,
    told: Addrs,
}

impl Default for Addresses {
    fn default() -> Self {
        Self::read_by(shared)
    }
}

impl Addresses {
    pub(crate) fn read_by(read: impl FnMut() -> io::Result<Addrs> + Send + 'static) -> Self {
        Self { read: Box::new(read), ports: Table::new(), told: Addrs::new() }
    }

    /// Whether somebody wants to know.
    pub(crate) const fn is_wanted(&self) -> bool {
        !self.ports.is_empty()
    }

    /// A port asks; what it is told at once. Only the first one has the system asked.
    pub(crate) fn open(&mut self, port: PortId) -> io::Result<Addrs> {
        if !self.is_wanted() {
            self.told = sorted((self.read)()?);
        }
        self.ports.insert(port, ());
        Ok(self.told.clone())
    }

    /// False: it was none of these ports.
    pub(crate) fn close(&mut self, port: PortId) -> bool {
        self.ports.remove(port).is_some()
    }

    /// Reads the addresses; if they have changed, what is to be told, and to whom. If they can't be read, the next look
    /// will tell.
    pub(crate) fn look(&mut self) -> Option<(Addrs, Vec<PortId>)> {
        let addresses = sorted((self.read)().ok()?);
        if addresses == self.told {
            return None;
        }
        self.told.clone_from(&addresses);
        Some((addresses, self.ports.keys().collect()))
    }
}

fn shared() -> io::Result<Addrs> {
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    if let Some((at, addresses)) = &*last
        && now.duration_since(*at) < FRESH
    {
        return Ok(addresses.clone());
    }
    let addresses = of_system()?;
    *last = Some((now, addresses.clone()));
    Ok(addresses)
}

fn of_system() -> io::Result<Addrs> {
    let interfaces = if_addrs::get_if_addrs()?;
    Ok(interfaces.iter().map(if_addrs::Interface::ip).filter(|ip| !is_link_local(*ip)).collect())
}

const fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

fn sorted(mut addresses: Addrs) -> Addrs {
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use switchboard::machine::ids::Ids;

    use super::*;

    /// Reads these lists, one after the other; an empty one can't be read.
    fn of(lists: &[&[&str]]) -> Addresses {
        let parse = |list: &&[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect::<Addrs>();
        let mut lists: VecDeque<_> = lists.iter().map(parse).collect();
        Addresses::read_by(move || {
            let list = lists.pop_front().expect("no further reading");
            if list.is_empty() { Err(io::ErrorKind::Other.into()) } else { Ok(list) }
        })
    }

    #[test]
    fn the_system_lists_the_loopback_and_nothing_twice() {
        let addresses = of_system().unwrap();
        assert!(addresses.contains(&IpAddr::from([127, 0, 0, 1])), "{addresses:?}");
        assert_eq!(Addresses::default().open(Ids::new().port()).unwrap(), sorted(addresses));
    }

    #[test]
    fn only_the_first_port_has_the_system_asked() {
        let (mut addresses, mut ids) = (of(&[&["10.0.0.2", "127.0.0.1", "10.0.0.2"]]), Ids::new());
        let first = addresses.open(ids.port()).unwrap();
        assert_eq!(first.len(), 2);
        assert_eq!(addresses.open(ids.port()).unwrap(), first);
    }

    #[test]
    fn a_change_is_told_once_to_every_port_that_is_open() {
        let (mut addresses, mut ids) =
            (of(&[&["10.0.0.2", "10.0.0.1"], &["10.0.0.1", "10.0.0.2"], &["10.0.0.3"], &["10.0.0.3"]]), Ids::new());
        let (closed, first, second) = (ids.port(), ids.port(), ids.port());
        for port in [closed, first, second] {
            addresses.open(port).unwrap();
        }
        assert!(addresses.close(closed) && !addresses.close(closed));
        assert_eq!(addresses.look(), None, "another order is no change");
        let (list, ports) = addresses.look().unwrap();
        assert_eq!((&list[..], &ports[..]), (&[IpAddr::from([10, 0, 0, 3])][..], &[first, second][..]));
        assert_eq!(addresses.look(), None);
    }

    #[test]
    fn a_list_that_cannot_be_read_fails_the_first_port_and_is_no_change_later() {
        let (mut addresses, mut ids) = (of(&[&[], &["10.0.0.1"], &[], &["10.0.0.2"]]), Ids::new());
        assert!(addresses.open(ids.port()).is_err());
        assert!(!addresses.is_wanted());
        addresses.open(ids.port()).unwrap();
        assert_eq!(addresses.look(), None);
        assert!(addresses.look().is_some());
    }

    #[test]
    fn link_local_addresses_of_ipv6_are_left_out() {
        assert!(is_link_local("fe80::1".parse().unwrap()));
        assert!(!is_link_local("2001:db8::1".parse().unwrap()) && !is_link_local("169.254.0.1".parse().unwrap()));
    }
}
