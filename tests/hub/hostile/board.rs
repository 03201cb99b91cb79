//! A relay that routes as an honest one does, and then does what it likes.

use std::collections::BTreeMap;

use switchboard::machine::ids::LinkId;
use switchboard::wire::frame::{Frame, Unreachable};
use switchboard::wire::identity::Address;

/// What it is about to send: on which link, which frame. An empty answer drops it.
pub(crate) type Meddle = Box<dyn FnMut(LinkId, Vec<u8>) -> Vec<(LinkId, Vec<u8>)>>;

pub(crate) struct Board {
    /// Where data of a route goes, by the link it comes on and the number that we allotted there.
    routes: BTreeMap<(LinkId, u32), (LinkId, u32)>,
    /// What was opened and is not answered yet, by the same.
    opening: BTreeMap<(LinkId, u32), (LinkId, u32, u32)>,
    next: u32,
    pub(crate) meddle: Meddle,
}

impl Board {
    pub(crate) fn new(meddle: impl FnMut(LinkId, Vec<u8>) -> Vec<(LinkId, Vec<u8>)> + 'static) -> Self {
        Self { routes: BTreeMap::new(), opening: BTreeMap::new(), next: 100, meddle: Box::new(meddle) }
    }

    pub(crate) fn honest() -> Self {
        Self::new(|link, frame| vec![(link, frame)])
    }

    /// Changes the packets of sessions only.
    pub(crate) fn packets(mut change: impl FnMut(Vec<u8>) -> Vec<Vec<u8>> + 'static) -> Self {
        Self::new(move |link, frame| match Frame::decode(&frame) {
            Ok(Frame::Data { route, packet }) => {
                let data = |packet: Vec<u8>| (link, Frame::Data { route, packet: &packet }.encode());
                change(packet.to_vec()).into_iter().map(data).collect()
            }
            _ => vec![(link, frame)],
        })
    }

    /// Each route as data would take it to its end: the link, the number there.
    pub(crate) fn ways(&self) -> Vec<(LinkId, u32)> {
        self.routes.values().copied().collect()
    }

    pub(crate) fn pass(
        &mut self,
        from: LinkId,
        message: &[u8],
        of: impl Fn(Address) -> Option<LinkId>,
    ) -> Vec<(LinkId, Vec<u8>)> {
        let Ok(frame) = Frame::decode(message) else { return Vec::new() };
        let Some((link, frame)) = self.honestly(from, frame, of) else { return Vec::new() };
        (self.meddle)(link, frame)
    }

    fn honestly(
        &mut self,
        link: LinkId,
        frame: Frame<'_>,
        of: impl Fn(Address) -> Option<LinkId>,
    ) -> Option<(LinkId, Vec<u8>)> {
        match frame {
            Frame::Open { route, to, from, hops } => {
                let Some(out) = of(to) else {
                    let refusal = Frame::Unreachable { route, reason: Unreachable::Unknown };
                    return Some((link, refusal.encode()));
                };
                let (near, far) = (self.next, self.next + 1);
                self.next += 2;
                self.routes.insert((out, far), (link, route));
                self.opening.insert((out, far), (link, route, near));
                Some((out, Frame::Open { route: far, to, from, hops: hops.saturating_sub(1) }.encode()))
            }
            Frame::Opened { route, yours, from } => {
                let (back, theirs, near) = self.opening.remove(&(link, route))?;
                self.routes.insert((back, near), (link, yours));
                Some((back, Frame::Opened { route: theirs, yours: near, from }.encode()))
            }
            Frame::Data { route, packet } => {
                let (to, route) = *self.routes.get(&(link, route))?;
                Some((to, Frame::Data { route, packet }.encode()))
            }
            Frame::CloseRoute { route, reason } | Frame::Unreachable { route, reason } => {
                self.opening.remove(&(link, route));
                let (to, route) = self.routes.remove(&(link, route))?;
                Some((to, Frame::CloseRoute { route, reason }.encode()))
            }
            _ => None,
        }
    }
}
