//! Writing descriptions.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Description, OtherSection};

pub(super) fn description(description: &Description, session: u64, version: u64) -> String {
    let mut out = format!("v=0\r\no=- {session} {version} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n");
    if description.bundle && !description.mid.is_empty() {
        line(&mut out, format_args!("a=group:BUNDLE {}", description.mid));
    }
    if description.ice_lite {
        line(&mut out, format_args!("a=ice-lite"));
    }
    let position = description.position.min(description.other_sections.len());
    let (before, after) = description.other_sections.split_at(position);
    before.iter().for_each(|section| rejected(&mut out, section));
    data(&mut out, description);
    after.iter().for_each(|section| rejected(&mut out, section));
    out
}

/// A section of data channels. Port 9 and no address: they come with the candidates (RFC 8840, section 4.1.1).
fn data(out: &mut String, description: &Description) {
    line(out, format_args!("m=application 9 UDP/DTLS/SCTP webrtc-datachannel"));
    line(out, format_args!("c=IN IP4 0.0.0.0"));
    description.candidates.iter().for_each(|candidate| line(out, format_args!("a={candidate}")));
    if description.end_of_candidates {
        line(out, format_args!("a=end-of-candidates"));
    }
    line(out, format_args!("a=ice-ufrag:{}", description.ufrag));
    line(out, format_args!("a=ice-pwd:{}", description.password.expose()));
    line(out, format_args!("a=ice-options:trickle"));
    line(out, format_args!("a=fingerprint:sha-256 {}", hexadecimal(&description.fingerprint)));
    line(out, format_args!("a=setup:{}", description.setup.word()));
    name(out, &description.mid);
    line(out, format_args!("a=sctp-port:{}", description.sctp_port));
    if let Some(size) = description.max_message {
        line(out, format_args!("a=max-message-size:{size}"));
    }
    if let Some(init) = &description.sctp_init {
        line(out, format_args!("a=sctp-init:{}", STANDARD.encode(init)));
    }
}

fn rejected(out: &mut String, section: &OtherSection) {
    line(out, format_args!("m={} 0 {} {}", section.media, section.protocol, section.format));
    line(out, format_args!("c=IN IP4 0.0.0.0"));
    name(out, &section.mid);
    line(out, format_args!("a=inactive"));
}

fn name(out: &mut String, mid: &str) {
    if !mid.is_empty() {
        line(out, format_args!("a=mid:{mid}"));
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{text}\r\n");
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(3 * bytes.len());
    for byte in bytes {
        let colon = if out.is_empty() { "" } else { ":" };
        let _ = write!(out, "{colon}{byte:02X}");
    }
    out
}
