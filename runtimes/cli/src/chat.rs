//! `chat`: all who are in a room talk to each other, and two of them in private.
//!
//! What is said to all goes by broadcasts, what is said to one by a session. Others choose their words and names:
//! nothing of theirs reaches a terminal that could control it.

use std::collections::BTreeMap;

use serde_json::json;
use switchboard::hub::channel::Channel;
use switchboard::hub::{Event, Member, RoomEvent, RoomId, SessionId};
use switchboard::wire::identity::Address;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};

use crate::args::ChatArgs;
use crate::outcome::{Code, Failure};
use crate::party::{CHANNEL, NOT_WANTED, Party, in_room};
use crate::{report, signals};

/// What the channel of a private talk is called.
const LABEL: &str = "chat";

const HELP: &str = "/who: who is here; /msg NAME TEXT: tell one only; /quit: leave";

pub(crate) fn run(args: &ChatArgs) -> Result<(), Failure> {
    signals::run(async |stop| {
        let party = Party::start(&args.endpoint)?;
        let name = args.name.clone().unwrap_or_else(user);
        let joined = party.endpoint.join(&args.room, &name, args.secret.as_deref());
        let room = joined.map_err(|error| Failure::new(Code::Usage, format!("--name: {error}")))?;
        let mut chat = Chat { party: &party, args, room, private: BTreeMap::new(), unsent: BTreeMap::new() };
        let result = tokio::select! {
            result = chat.talk() => result,
            () = stop.asked() => Ok(()),
        };
        party.endpoint.leave(room);
        party.stop().await;
        result
    })
}

fn user() -> String {
    let user = ["USER", "USERNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    user.filter(|name| !name.is_empty()).unwrap_or_else(|| "somebody".to_owned())
}

struct Chat<'a> {
    party: &'a Party,
    args: &'a ChatArgs,
    room: RoomId,
    private: BTreeMap<Address, SessionId>,
    /// What waits for a session to stand.
    unsent: BTreeMap<SessionId, String>,
}

impl Chat<'_> {
    async fn talk(&mut self) -> Result<(), Failure> {
        self.come_in().await?;
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        loop {
            let said = tokio::select! {
                event = self.party.event() => {
                    self.on_event(event?)?;
                    continue;
                }
                line = next_line(&mut lines) => line?,
            };
            match said.as_deref().map(str::trim_end) {
                None | Some("/quit") => return Ok(()),
                Some(line) => self.on_line(line)?,
            }
        }
    }

    /// Nothing is said before we are in.
    async fn come_in(&mut self) -> Result<(), Failure> {
        loop {
            let event = self.party.event().await?;
            let joined = matches!(&event, Event::Room { event: RoomEvent::Joined(_), .. });
            self.on_event(event)?;
            if joined {
                return Ok(());
            }
        }
    }

    fn on_line(&mut self, line: &str) -> Result<(), Failure> {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("", _) => {}
            ("/who", _) => self.notice(&who(&self.party.endpoint.members(self.room))),
            ("/msg", rest) => match rest.split_once(' ') {
                Some((name, text)) => self.tell_one(name, text),
                None => self.notice(HELP),
            },
            (word, _) if word.starts_with('/') => self.notice(HELP),
            _ => {
                if let Err(error) = self.party.endpoint.broadcast(self.room, line.as_bytes()) {
                    self.notice(&format!("not said: {error}"));
                }
            }
        }
        Ok(())
    }

    fn tell_one(&mut self, name: &str, text: &str) {
        let members = self.party.endpoint.members(self.room);
        let mut named = members.iter().filter(|member| member.name == name || member.address.id.short() == name);
        let (Some(member), None) = (named.next(), named.next()) else {
            return self.notice(&format!("{} is not the name of one here; {}", printable(name), who(&members)));
        };
        match self.private.get(&member.address) {
            Some(session) => {
                if let Err(error) = self.party.endpoint.try_send(*session, CHANNEL, text.as_bytes()) {
                    self.notice(&format!("not told: {error}"));
                }
            }
            None => {
                let channels = vec![Channel::reliable(LABEL)];
                let session = self.party.open(member.address, channels);
                self.private.insert(member.address, session);
                self.unsent.insert(session, text.to_owned());
            }
        }
    }

    fn on_event(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Room { room, event } if room == self.room => self.on_room(event)?,
            Event::Incoming { session, from, channels } => self.on_incoming(session, from, &channels),
            Event::Opened { session, .. } => {
                if let Some(text) = self.unsent.remove(&session) {
                    _ = self.party.endpoint.try_send(session, CHANNEL, text.as_bytes());
                }
            }
            Event::Message { session, bytes, .. } => {
                if let Some((from, _)) = self.private.iter().find(|(_, private)| **private == session) {
                    self.said(&self.name_of(from), from, &bytes, true)?;
                }
            }
            Event::Closed { session, peer, reason } if self.private.get(&peer) == Some(&session) => {
                self.private.remove(&peer);
                if self.unsent.remove(&session).is_some() {
                    self.notice(&format!("not told to {}: {reason}", self.name_of(&peer)));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Members may talk to us in private.
    fn on_incoming(&mut self, session: SessionId, from: Address, channels: &[Channel]) {
        let known = self.party.endpoint.members(self.room).iter().any(|member| member.address == from);
        if known && channels.iter().map(|channel| channel.label.as_str()).eq([LABEL]) {
            self.party.accept(session);
            self.private.insert(from, session);
        } else {
            self.party.endpoint.refuse(session, NOT_WANTED, "it talks to members of its room only");
        }
    }

    fn on_room(&mut self, event: RoomEvent) -> Result<(), Failure> {
        match event {
            RoomEvent::Joined(members) => {
                let here: Vec<_> = members.iter().map(described).collect();
                let event = json!({"event": "joined", "members": here});
                self.party.tell(event, &format!("in room {}; {}", self.args.room, who(&members)));
            }
            RoomEvent::MemberJoined(member) => {
                let text = format!("{} has come", printable(&member.name));
                self.party.tell(json!({"event": "come", "member": described(&member)}), &text);
            }
            RoomEvent::MemberLeft { member, reason } => {
                let text = format!("{} has gone: {reason}", printable(&member.name));
                let event = json!({"event": "gone", "member": described(&member), "reason": reason.to_string()});
                self.party.tell(event, &text);
            }
            RoomEvent::Broadcast { from, bytes, missed } => {
                if missed > 0 {
                    self.notice(&format!("{missed} of what {} said did not arrive", printable(&from.name)));
                }
                self.said(&from.name, &from.address, &bytes, false)?;
            }
            RoomEvent::Closed(end) => return Err(in_room(&self.args.room, &end)),
        }
        Ok(())
    }

    fn said(&self, name: &str, from: &Address, bytes: &[u8], private: bool) -> Result<(), Failure> {
        let text = String::from_utf8_lossy(bytes);
        if self.args.endpoint.json {
            let said = json!({"from": name, "id": from.id.to_string(), "text": text, "private": private});
            return report::output(&said.to_string());
        }
        let aside = if private { " (to you)" } else { "" };
        report::output(&format!("{}{aside}: {}", printable(name), printable(&text)))
    }

    fn name_of(&self, of: &Address) -> String {
        let members = self.party.endpoint.members(self.room);
        let known = members.into_iter().find(|member| member.address == *of);
        known.map_or_else(|| of.id.short(), |member| member.name)
    }

    fn notice(&self, text: &str) {
        self.party.tell(json!({"event": "notice", "text": text}), text);
    }
}

async fn next_line(lines: &mut Lines<BufReader<Stdin>>) -> Result<Option<String>, Failure> {
    lines.next_line().await.map_err(|error| Failure::new(Code::Failed, format!("standard input: {error}")))
}

fn who(members: &[Member]) -> String {
    if members.is_empty() {
        return "nobody else is here".to_owned();
    }
    let one = |member: &Member| format!("{} ({})", printable(&member.name), member.address.id.short());
    format!("here: {}", members.iter().map(one).collect::<Vec<_>>().join(", "))
}

fn described(member: &Member) -> serde_json::Value {
    json!({"name": member.name, "id": member.address.id.to_string()})
}

/// A text without what could control a terminal, and without what hides the order of its letters.
fn printable(text: &str) -> String {
    let replace = |character: char| match character {
        '\t' => ' ',
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        character if character.is_control() => '\u{fffd}',
        character => character,
    };
    text.chars().map(replace).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_does_not_control_the_terminal() {
        assert_eq!(printable("a\tb\x1b[2J\r\n\u{9b}\u{202e}é"), "a b\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}\u{fffd}é");
    }
}
