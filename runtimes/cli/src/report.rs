//! What people and scripts are told on standard error, by text or by JSON.
//!
//! A closed standard error is no reason to stop.

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use switchboard::connect::{ConnectionString, Role};
use switchboard::link::tls::TlsVersion;
use switchboard::machine::ids::LinkId;
use switchboard::transport::{DownReason, LinkInfo};

use crate::outcome::{Code, Failure};

/// Tells of one `dial` or `listen`.
pub(crate) struct Report {
    pub(crate) string: ConnectionString,
    pub(crate) role: Role,
    pub(crate) json: bool,
    /// The certificate that was made, for those who dial.
    pub(crate) made: Option<PathBuf>,
}

impl Report {
    pub(crate) fn listening(&self, address: SocketAddr) {
        let string = connectable(&self.string, address);
        self.tell(json!({"event": "listening", "string": string}), &format!("listening on {string}"));
        if let Some(file) = self.made.as_ref().filter(|_| !self.json) {
            line(&format!("to dial it: switchboard dial --ca {} {string}", file.display()));
        }
    }

    pub(crate) fn up(&self, link: LinkId, info: &LinkInfo) {
        let about = about(info);
        let text = match self.role {
            Role::Dial if about.is_empty() => format!("connected to {}", self.string),
            Role::Dial => format!("connected to {} ({about})", self.string),
            Role::Listen => format!("{link} up: {about}"),
        };
        let event = json!({
            "event": "up",
            "link": link.to_string(),
            "local": info.local.map(|address| address.to_string()),
            "peer": info.peer.map(|address| address.to_string()),
            "path": info.opened.path,
            "subprotocol": info.opened.subprotocol,
            "tls": version(info),
        });
        self.tell(event, &text);
    }

    pub(crate) fn down(&self, link: LinkId, reason: &DownReason) {
        let text = match self.role {
            Role::Dial => format!("disconnected: {reason}"),
            Role::Listen => format!("{link} down: {reason}"),
        };
        self.tell(json!({"event": "down", "link": link.to_string(), "reason": reason.to_string()}), &text);
    }

    pub(crate) fn refused(&self, peer: Option<SocketAddr>, failure: &Failure) {
        let peer = peer.map(|peer| peer.to_string());
        let who = peer.as_deref().unwrap_or("a connection");
        let event = json!({"event": "refused", "peer": peer, "reason": failure.text, "advice": failure.advice});
        self.tell(event, &format!("{who} did not become a link: {}", advised(failure)));
    }

    pub(crate) fn retrying(&self, pause: Duration) {
        let seconds = pause.as_secs_f64();
        let text = format!("trying again in {seconds:.1} s");
        self.tell(json!({"event": "retrying", "seconds": seconds}), &text);
    }

    fn tell(&self, event: Value, text: &str) {
        if self.json { line(&event.to_string()) } else { line(text) }
    }
}

/// Says why a command did not do what it was asked for.
pub(crate) fn failure(failure: &Failure, json: bool) {
    if json {
        let code = failure.code as u8;
        let event = json!({"event": "error", "code": code, "message": failure.text, "advice": failure.advice});
        return line(&event.to_string());
    }
    line(&format!("error: {}", advised(failure)));
}

/// Writes one line to standard output; a reader that has gone is no error.
pub(crate) fn output(text: &str) -> Result<(), Failure> {
    match writeln!(io::stdout(), "{text}").and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Code::Failed, format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes one line to standard error.
pub(crate) fn line(text: &str) {
    _ = writeln!(io::stderr(), "{text}");
}

fn advised(failure: &Failure) -> String {
    match &failure.advice {
        Some(advice) => format!("{}\n  {advice}", failure.text),
        None => failure.text.clone(),
    }
}

fn about(info: &LinkInfo) -> String {
    let parts = [
        info.peer.map(|address| address.to_string()),
        info.opened.path.clone().filter(|path| path != "/").map(|path| format!("path {path}")),
        version(info).map(|version| format!("TLS {version}")),
        info.opened.subprotocol.as_ref().map(|name| format!("subprotocol {name}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn version(info: &LinkInfo) -> Option<&'static str> {
    Some(match info.opened.tls.as_ref()?.version? {
        TlsVersion::Tls12 => "1.2",
        TlsVersion::Tls13 => "1.3",
    })
}

/// The string by which others on this machine reach a listener: with the port that the system chose, and an address
/// of this machine in place of "all".
pub(crate) fn connectable(string: &ConnectionString, address: SocketAddr) -> String {
    let (kind, port) = (string.kind(), address.port());
    match string.url() {
        Ok((authority, path)) => format!("{kind}://{}:{port}{path}", reachable(&authority.host)),
        Err(_) => {
            let host = string.host_port().map_or_else(|_| address.ip().to_string(), |(host, _)| host);
            format!("{kind}:{}:{port}", reachable(&host))
        }
    }
}

fn reachable(host: &str) -> String {
    match host.parse() {
        Ok(IpAddr::V4(address)) if address.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
        Ok(IpAddr::V6(address)) if address.is_unspecified() => format!("[{}]", Ipv6Addr::LOCALHOST),
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_told_of_by_a_string_that_can_be_dialled() {
        let address = "127.0.0.1:4711".parse().unwrap();
        for (written, told) in [
            ("tcp:127.0.0.1:0", "tcp:127.0.0.1:4711"),
            ("tls:localhost:0", "tls:localhost:4711"),
            ("ws://0.0.0.0:0/chat?x=y", "ws://127.0.0.1:4711/chat?x=y"),
            ("wss://[::]:0", "wss://[::1]:4711/"),
            ("wss://[::1]:0", "wss://[::1]:4711/"),
        ] {
            assert_eq!(connectable(&ConnectionString::parse(written).unwrap(), address), told);
        }
    }
}
