//! How two endpoints find each other: one dials the other's id, or both join a room.

use std::slice;

use serde_json::json;
use switchboard::hub::{Event, Member, RoomEvent, SessionId};
use switchboard::wire::identity::{Address, EndpointId};

use crate::outcome::{Code, Failure};
use crate::party::{Party, in_room};

/// Whom to meet.
#[derive(Debug)]
pub(crate) struct Meeting<'a> {
    /// Whom to dial.
    pub(crate) to: Option<Address>,
    /// Where to meet, if nobody is dialled.
    pub(crate) room: Option<&'a str>,
    pub(crate) secret: Option<&'a str>,
    /// Who may dial us; nobody: everybody.
    pub(crate) from: &'a [EndpointId],
    /// Who dials whom in a room.
    pub(crate) part: Part,
}

/// The part that an endpoint has in a meeting, which its name in the room shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Both have the same; whoever comes second dials the first.
    Either,
    /// It dials one that waits.
    Caller,
    /// It waits.
    Called,
}

/// A session with whom was met.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Met {
    pub(crate) session: SessionId,
    /// Whether it was us who dialled.
    pub(crate) dialled: bool,
}

impl Meeting<'_> {
    /// Dials, or waits for one who does.
    pub(crate) async fn meet(&self, party: &Party, label: &str) -> Result<Met, Failure> {
        match (self.to, self.room) {
            (Some(to), _) => Ok(Met { session: party.dial(to, label).await?, dialled: true }),
            (None, Some(room)) => self.meet_in(room, party, label).await,
            (None, None) => {
                party.announce().await?;
                self.wait(party, label).await
            }
        }
    }

    async fn wait(&self, party: &Party, label: &str) -> Result<Met, Failure> {
        loop {
            if let Some(met) = self.admit(party, label, party.event().await?) {
                return Ok(met);
            }
        }
    }

    async fn meet_in(&self, name: &str, party: &Party, label: &str) -> Result<Met, Failure> {
        let joined = party.endpoint.join(name, self.part.name(), self.secret);
        let room = joined.map_err(|error| Failure::new(Code::Usage, error.to_string()))?;
        loop {
            match party.event().await? {
                Event::Room { room: of, event } if of == room => {
                    if let Some(to) = self.partner(party, name, event)? {
                        party.endpoint.leave(room);
                        return Ok(Met { session: party.dial(to, label).await?, dialled: true });
                    }
                }
                event => {
                    if let Some(met) = self.admit(party, label, event) {
                        party.endpoint.leave(room);
                        return Ok(met);
                    }
                }
            }
        }
    }

    fn admit(&self, party: &Party, label: &str, event: Event) -> Option<Met> {
        let Event::Incoming { session, from, channels } = event else { return None };
        party.admits(session, &from, &channels, label, self.from).then_some(Met { session, dialled: false })
    }

    /// The member that is to be dialled.
    fn partner(&self, party: &Party, room: &str, event: RoomEvent) -> Result<Option<Address>, Failure> {
        let found = match event {
            RoomEvent::Joined(members) => {
                party.tell(json!({"event": "waiting", "room": room}), &format!("waiting in room {room}"));
                self.pick(&members)
            }
            RoomEvent::MemberJoined(member) if self.part == Part::Caller => self.pick(slice::from_ref(&member)),
            RoomEvent::Closed(end) => return Err(in_room(room, &end)),
            _ => None,
        };
        Ok(found)
    }

    fn pick(&self, members: &[Member]) -> Option<Address> {
        let wanted = match self.part {
            Part::Either => Part::Either,
            Part::Caller => Part::Called,
            Part::Called => return None,
        };
        members.iter().find(|member| member.name == wanted.name()).map(|member| member.address)
    }
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::Either => "pipe",
            Self::Caller => "sender",
            Self::Called => "receiver",
        }
    }
}
