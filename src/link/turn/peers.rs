//! Whom an allocation talks to: permissions by address, channels by address and port.

use std::net::{IpAddr, SocketAddr};

use super::message::Ask;
use super::{CHANNEL, EARLY, PERMISSION};
use crate::machine::time::Instant;

/// The numbers of channels (RFC 8656, section 12).
const CHANNELS: std::ops::RangeInclusive<u16> = 0x4000..=0x4fff;

#[derive(Debug)]
pub(super) struct Peers {
    most: usize,
    permissions: Vec<Permission>,
    channels: Vec<Channel>,
    next_channel: u16,
}

#[derive(Debug)]
struct Permission {
    ip: IpAddr,
    /// Who wants it, each with a count.
    users: Vec<(SocketAddr, u32)>,
    /// Until when the server lets pass; none: it has not yet.
    until: Option<Instant>,
    /// When it is asked for next; none: it is being asked for, or was refused.
    ask: Option<Instant>,
}

#[derive(Debug)]
struct Channel {
    number: u16,
    peer: SocketAddr,
    bound: bool,
    ask: Option<Instant>,
}

impl Peers {
    pub(super) const fn new(most: usize) -> Self {
        Self { most, permissions: Vec::new(), channels: Vec::new(), next_channel: *CHANNELS.start() }
    }

    /// One more wants a permission: whether it is there. None: there are too many.
    pub(super) fn want(&mut self, peer: SocketAddr) -> Option<bool> {
        let at = match self.permissions.iter().position(|permission| permission.ip == peer.ip()) {
            Some(at) => at,
            None if self.permissions.len() < self.most => {
                self.permissions.push(Permission { ip: peer.ip(), users: Vec::new(), until: None, ask: None });
                self.permissions.len() - 1
            }
            None => return None,
        };
        let permission = &mut self.permissions[at];
        match permission.users.iter().position(|(user, _)| *user == peer) {
            Some(user) => permission.users[user].1 += 1,
            None if permission.users.len() < self.most => permission.users.push((peer, 1)),
            None => return None,
        }
        Some(permission.until.is_some())
    }

    /// One less wants it. With the last its channel is let go, and with the last of an address the permission.
    pub(super) fn unwant(&mut self, peer: SocketAddr) {
        let Some(at) = self.permissions.iter().position(|permission| permission.ip == peer.ip()) else { return };
        let users = &mut self.permissions[at].users;
        let Some(user) = users.iter().position(|(user, _)| *user == peer) else { return };
        users[user].1 -= 1;
        if users[user].1 == 0 {
            users.swap_remove(user);
            self.release_channel(peer);
        }
        if self.permissions[at].users.is_empty() {
            self.permissions.swap_remove(at);
        }
    }

    /// Its number stays taken: the server knows it for ten minutes more.
    fn release_channel(&mut self, peer: SocketAddr) {
        if let Some(channel) = self.channels.iter_mut().find(|channel| channel.peer == peer) {
            (channel.bound, channel.ask) = (false, None);
        }
    }

    pub(super) fn is_wanted(&self, ip: IpAddr) -> bool {
        self.permissions.iter().any(|permission| permission.ip == ip)
    }

    pub(super) fn is_granted(&self, ip: IpAddr) -> bool {
        self.permissions.iter().any(|permission| permission.ip == ip && permission.until.is_some())
    }

    /// The server permits. Whether that is new to somebody who wants it.
    pub(super) fn granted(&mut self, ip: IpAddr, now: Instant) -> bool {
        let Some(permission) = self.permissions.iter_mut().find(|permission| permission.ip == ip) else { return false };
        permission.ask = Some(now + (PERMISSION - EARLY));
        permission.until.replace(now + PERMISSION).is_none()
    }

    pub(super) fn refused(&mut self, ip: IpAddr) {
        if let Some(permission) = self.permissions.iter_mut().find(|permission| permission.ip == ip) {
            (permission.until, permission.ask) = (None, None);
        }
    }

    pub(super) fn permit_again(&mut self, ip: IpAddr, at: Instant) {
        if let Some(permission) = self.permissions.iter_mut().find(|permission| permission.ip == ip) {
            permission.ask = Some(at);
        }
    }

    /// The number for a peer's channel, its own or a new one. None: it has one, there are too many, or nobody wants it.
    pub(super) fn channel_for(&mut self, peer: SocketAddr) -> Option<u16> {
        let permission = self.permissions.iter().find(|permission| permission.ip == peer.ip())?;
        permission.users.iter().find(|(user, _)| *user == peer)?;
        if let Some(channel) = self.channels.iter().find(|channel| channel.peer == peer) {
            return (!channel.bound && channel.ask.is_none()).then_some(channel.number);
        }
        if self.channels.len() >= self.most || !CHANNELS.contains(&self.next_channel) {
            return None;
        }
        let number = self.next_channel;
        self.next_channel += 1;
        self.channels.push(Channel { number, peer, bound: false, ask: None });
        Some(number)
    }

    pub(super) fn bind(&mut self, number: u16, peer: SocketAddr, now: Instant) {
        let is_wanted =
            self.permissions.iter().any(|permission| permission.users.iter().any(|(user, _)| *user == peer));
        if let Some(channel) = self.channels.iter_mut().find(|channel| channel.number == number && is_wanted) {
            (channel.bound, channel.ask) = (true, Some(now + (CHANNEL - 2 * EARLY)));
        }
    }

    pub(super) fn bind_again(&mut self, peer: SocketAddr, at: Instant) {
        if let Some(channel) = self.channels.iter_mut().find(|channel| channel.peer == peer) {
            channel.ask = Some(at);
        }
    }

    /// The server does not bind it: what is sent goes without.
    pub(super) fn unbind(&mut self, peer: SocketAddr) {
        self.release_channel(peer);
    }

    /// The number that datagrams to that peer may go by.
    pub(super) fn bound(&self, peer: SocketAddr) -> Option<u16> {
        self.channels.iter().find(|channel| channel.peer == peer && channel.bound).map(|channel| channel.number)
    }

    /// Whose channel that is. A server may use it before we know that it is bound.
    pub(super) fn peer_of(&self, number: u16) -> Option<SocketAddr> {
        self.channels.iter().find(|channel| channel.number == number).map(|channel| channel.peer)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let permissions = self.permissions.iter().filter_map(|permission| permission.ask);
        permissions.chain(self.channels.iter().filter_map(|channel| channel.ask)).min()
    }

    /// One that is to be asked for now.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Ask> {
        let is_due = |ask: Option<Instant>| ask.is_some_and(|at| at <= now);
        for permission in &mut self.permissions {
            permission.until.take_if(|until| *until <= now);
            if is_due(permission.ask) {
                permission.ask = None;
                return Some(Ask::Permit(permission.ip));
            }
        }
        let channel = self.channels.iter_mut().find(|channel| is_due(channel.ask))?;
        channel.ask = None;
        Some(Ask::Bind(channel.number, channel.peer))
    }
}
