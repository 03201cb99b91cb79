//! Two people, two pasted lines, no server: whoever starts `pigeon` sends the line that it writes to the other, who
//! starts `pigeon LINE` and sends the line that comes back. Then lines of text go both ways, from one host to the other.
//!
//! The lines say where each side can be reached, and what its key is: who may change them on their way may listen.
//! Across NATs a STUN server helps: `SWITCHBOARD_ICE_SERVERS=stun:HOST:PORT`.

use std::error::Error;
use std::io;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use switchboard::machine::ids::LinkId;
use switchboard::machine::limits::Limits;
use switchboard::machine::payload::Kind;
use switchboard::stack::peer::ChannelSpec;
use switchboard::transport::TransportEvent;
use switchboard::transport::alone::{Alone, AloneEvent};
use switchboard::transport::upgrade::{PeerEvent, PeerId, Upgrade as _};
use switchboard::transport::webrtc::Webrtc;
use switchboard::wire::letter::Letter;
use switchboard::wire::paste::Paste;
use switchboard::wire::signal::{DescriptionKind, Signal};
use switchboard_mio::Driver;
use switchboard_mio::environment::direct;

/// What peers tell is looked for so often.
const LOOK: Duration = Duration::from_millis(20);

struct Pigeon {
    driver: Driver<Alone<Webrtc>>,
    peer: PeerId,
    link: Option<LinkId>,
    letter: Letter,
}

fn main() -> Result<(), Box<dyn Error>> {
    let line = std::env::args().nth(1);
    let mut pigeon = Pigeon::new(line.is_none())?;
    if let Some(line) = &line {
        // What is known by now goes into the answer.
        while !pigeon.driver.machine().transport().is_gathered() {
            pigeon.driver.turn(Some(LOOK))?;
        }
        pigeon.read(line, DescriptionKind::Offer)?;
    }
    let lines = lines();
    let mut pasted = line.is_some();
    loop {
        pigeon.turn()?;
        for line in lines.try_iter() {
            match pigeon.link {
                Some(link) => pigeon.say(link, &line),
                None if pasted => eprintln!("not connected yet"),
                None => {
                    pigeon.read(&line, DescriptionKind::Answer)?;
                    pasted = true;
                }
            }
        }
    }
}

/// What is typed.
fn lines() -> Receiver<String> {
    let (typed, lines) = channel();
    std::thread::spawn(move || io::stdin().lines().map_while(Result::ok).try_for_each(|line| typed.send(line)));
    lines
}

impl Pigeon {
    fn new(offers: bool) -> Result<Self, Box<dyn Error>> {
        let mut driver = Driver::new(Alone::new(Webrtc::new(direct::config()?), Limits::default()))?;
        let peer = driver.act(|alone, cx| {
            let peer = alone.transport_mut().connect(cx, offers)?;
            let spec =
                ChannelSpec { label: "pigeon".into(), ordered: true, max_retransmits: None, negotiated: Some(0) };
            alone.transport_mut().open_channel(cx, peer, spec).then_some(peer)
        });
        Ok(Self { driver, peer: peer.ok_or("no peer")?, link: None, letter: Letter::new() })
    }

    /// Takes the other side's line.
    fn read(&mut self, line: &str, kind: DescriptionKind) -> Result<(), Box<dyn Error>> {
        let sdp = Paste::decode(line)?.to_sdp(1, 1);
        let signal = Signal::Description { attempt: 0, kind, sdp: &sdp };
        self.driver.act(|alone, cx| alone.transport_mut().signal(cx, self.peer, &signal));
        Ok(())
    }

    fn turn(&mut self) -> Result<(), Box<dyn Error>> {
        if let Some(AloneEvent::Transport(TransportEvent::Up(link, _))) = self.driver.turn(Some(LOOK))? {
            self.link = Some(link);
            eprintln!("connected");
        }
        while let Some(message) = self.driver.act(|alone, cx| alone.recv(cx)) {
            println!("{}", String::from_utf8_lossy(&message.bytes).escape_debug());
        }
        while let Some((_, event)) = self.driver.act(|alone, cx| alone.transport_mut().poll_peer(cx)) {
            match event {
                PeerEvent::Signal(bytes) => self.tell(&Signal::decode(&bytes, usize::MAX)?),
                PeerEvent::Down(end) => return Err(end.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Writes our line once it is whole.
    fn tell(&mut self, signal: &Signal<'_>) {
        if let Some((_, description)) = self.letter.add(signal) {
            println!("{}", Paste::encode(&description).expose());
        }
    }

    fn say(&mut self, link: LinkId, line: &str) {
        let sent = self.driver.act(|alone, cx| alone.send(cx, link, Kind::Text, line.as_bytes()));
        sent.unwrap_or_else(|error| eprintln!("not sent: {error}"));
    }
}
