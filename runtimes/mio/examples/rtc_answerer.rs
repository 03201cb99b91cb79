//! The other end of a browser's data channels: sends back every message on the channel that it came by.
//!
//! It reads an offer as one line of JSON (`{"type": "offer", "sdp": "…"}`, what `RTCPeerConnection.localDescription`
//! is as JSON) and writes its answer in the same way; with `--offer` it offers and reads the answer. Both channels are
//! negotiated: 0 is reliable, 1 is not, and neither keeps order. Two texts are not sent back: `open LABEL` makes it open
//! a channel of that name, `close` close the one that it came by.

use std::error::Error;
use std::io::{self, BufRead as _};
use std::time::Duration;

use serde_json::{Value, json};
use switchboard::machine::limits::Limits;
use switchboard::machine::payload::Kind;
use switchboard::stack::peer::ChannelSpec;
use switchboard::transport::alone::{Alone, Message, SendError};
use switchboard::transport::upgrade::{PeerEvent, PeerId, Upgrade as _};
use switchboard::transport::webrtc::Webrtc;
use switchboard::wire::letter::Letter;
use switchboard::wire::sdp::Description;
use switchboard::wire::signal::{DescriptionKind, Signal};
use switchboard_mio::Driver;
use switchboard_mio::environment::direct;

/// What peers tell is looked for so often.
const LOOK: Duration = Duration::from_millis(5);

fn main() -> Result<(), Box<dyn Error>> {
    let offers = std::env::args().any(|word| word == "--offer");
    let mut config = direct::config()?;
    config.gather.loopback = true;
    let mut driver = Driver::new(Alone::new(Webrtc::new(config), Limits::default()))?;
    let peer = driver.act(|alone, cx| {
        alone.start(cx);
        let peer = alone.transport_mut().connect(cx, offers)?;
        for (label, number, max_retransmits) in [("bulk", 0, None), ("quick", 1, Some(0))] {
            let spec = ChannelSpec { label: label.into(), ordered: false, max_retransmits, negotiated: Some(number) };
            alone.transport_mut().open_channel(cx, peer, spec);
        }
        Some(peer)
    });
    let peer = peer.ok_or("no peer")?;
    if offers {
        write(&letter(&mut driver)?);
        read(&mut driver, peer, DescriptionKind::Answer)?;
    } else {
        while !driver.machine().transport().is_gathered() {
            driver.turn(Some(LOOK))?;
        }
        read(&mut driver, peer, DescriptionKind::Offer)?;
        write(&letter(&mut driver)?);
    }
    echo(&mut driver, peer)
}

/// The description of this side, with all its candidates.
fn letter(driver: &mut Driver<Alone<Webrtc>>) -> Result<(DescriptionKind, Description), Box<dyn Error>> {
    let mut letter = Letter::new();
    loop {
        while let Some((_, event)) = driver.act(|alone, cx| alone.transport_mut().poll_peer(cx)) {
            match event {
                PeerEvent::Signal(bytes) => {
                    if let Some(whole) = letter.add(&Signal::decode(&bytes, usize::MAX)?) {
                        return Ok(whole);
                    }
                }
                PeerEvent::Down(end) => return Err(end.into()),
                _ => {}
            }
        }
        driver.turn(Some(LOOK))?;
    }
}

fn write((kind, description): &(DescriptionKind, Description)) {
    let kind = if *kind == DescriptionKind::Offer { "offer" } else { "answer" };
    println!("{}", json!({"type": kind, "sdp": description.to_sdp(1, 1)}));
}

fn read(driver: &mut Driver<Alone<Webrtc>>, peer: PeerId, kind: DescriptionKind) -> Result<(), Box<dyn Error>> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let description: Value = serde_json::from_str(&line)?;
    let sdp = description["sdp"].as_str().ok_or("a description has `sdp`")?;
    let signal = Signal::Description { attempt: 0, kind, sdp };
    driver.act(|alone, cx| alone.transport_mut().signal(cx, peer, &signal));
    Ok(())
}

/// Until the other side has gone.
fn echo(driver: &mut Driver<Alone<Webrtc>>, peer: PeerId) -> Result<(), Box<dyn Error>> {
    let mut owed: Option<Message> = None;
    loop {
        while let Some(message) = owed.take().or_else(|| driver.act(|alone, cx| alone.recv(cx))) {
            if obeys(driver, peer, &message) {
                continue;
            }
            let Message { link, kind, bytes } = &message;
            if driver.act(|alone, cx| alone.send(cx, *link, *kind, bytes)) == Err(SendError::Blocked) {
                owed = Some(message);
                break;
            }
        }
        while let Some((_, event)) = driver.act(|alone, cx| alone.transport_mut().poll_peer(cx)) {
            if let PeerEvent::Down(end) = event {
                return Err(end.into());
            }
        }
        driver.turn(Some(LOOK))?;
    }
}

/// Whether the message was one that says what to do.
fn obeys(driver: &mut Driver<Alone<Webrtc>>, peer: PeerId, Message { link, kind, bytes }: &Message) -> bool {
    let words = if *kind == Kind::Text { std::str::from_utf8(bytes).unwrap_or_default() } else { "" };
    if let Some(label) = words.strip_prefix("open ") {
        let spec = ChannelSpec { label: label.into(), ordered: true, max_retransmits: None, negotiated: None };
        return driver.act(|alone, cx| alone.transport_mut().open_channel(cx, peer, spec));
    }
    if words == "close" {
        driver.act(|alone, cx| alone.close(cx, *link));
    }
    words == "close"
}
