//! What a world does to the sockets of one host.

use std::net::IpAddr;

use super::VirtualSockets;
use crate::machine::port::PortError;
use crate::sim::stream::{Stream, Streams};

impl VirtualSockets {
    /// From now on new streams behave so.
    pub(in crate::sim) const fn set_streams(&mut self, settings: Streams) {
        self.settings = settings;
    }

    /// Dials to that port of ours are not answered, or are again.
    pub(in crate::sim) fn set_silent(&mut self, port: u16, silent: bool) {
        if silent {
            self.silent.insert(port);
        } else {
            self.silent.remove(&port);
        }
    }

    /// The stream that sends to that address is reset after so many bytes.
    pub(in crate::sim) fn reset_after(&mut self, peer: IpAddr, bytes: usize) {
        self.fuses.insert(peer, bytes);
    }

    /// Further addresses, beside those that dials take.
    pub(in crate::sim) fn add_addresses(&mut self, addresses: [IpAddr; 2]) {
        self.addresses.add(self.now, addresses);
    }

    /// Which families the host has from now on, IPv4 first. Streams that stand are not touched.
    pub(in crate::sim) fn set_families(&mut self, families: [bool; 2]) {
        self.addresses.set_families(self.now, families);
    }

    /// The host's addresses are not told from now on.
    pub(in crate::sim) fn set_unlisted(&mut self) {
        self.addresses.set_unlisted(self.now);
    }

    /// The link is there, or is not, and the host's addresses with it.
    pub(in crate::sim) fn set_plugged(&mut self, plugged: bool) {
        self.addresses.set_plugged(self.now, plugged);
    }

    /// Other addresses from now on. What is bound to an old one hears nothing any more; with `break_streams` streams
    /// are told so.
    pub(in crate::sim) fn move_to(&mut self, addresses: [IpAddr; 2], break_streams: bool) {
        self.addresses.replace(self.now, addresses);
        let lost = |stream: &Stream| !stream.local.ip().is_loopback() && !addresses.contains(&stream.local.ip());
        let lost: Vec<_> = self.streams.iter().filter(|(_, stream)| lost(stream)).map(|(key, _)| *key).collect();
        for key in lost.into_iter().filter(|_| break_streams) {
            self.with(key, |stream| stream.break_off(PortError::Unreachable));
        }
    }
}
