//! The server's side of the upgrade to a WebSocket (RFC 6455, section 4.2).

use std::mem;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::head::{Fields, Gather, Request, parse_request};
use super::{HttpError, Progress, accept_value};
use crate::machine::buf::Buf;
use crate::machine::limits::Limits;

/// Whom a server lets in. Made once, shared by its connections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpgradeRules {
    /// The only path, without query; none allows any.
    pub path: Option<String>,
    /// The subprotocols spoken, in order of preference.
    pub subprotocols: Vec<String>,
    /// The origins whose pages may connect; none allows any. Who says no origin is no browser and is let in: the
    /// rule protects users of browsers, others could say what they like (RFC 6455, section 10.2).
    pub origins: Option<Vec<String>>,
}

/// What a client asked for and got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgraded {
    /// The path with its query.
    pub path: String,
    /// The subprotocol chosen, if both sides have one in common.
    pub subprotocol: Option<String>,
    /// The page's origin, if the client is a browser.
    pub origin: Option<String>,
    /// The host that the client means.
    pub host: String,
}

/// Checks a request for a WebSocket and answers it.
#[derive(Debug)]
pub struct UpgradeServer {
    rules: Arc<UpgradeRules>,
    gather: Gather,
    owed: Vec<u8>,
}

impl UpgradeServer {
    /// A server that waits for a request.
    pub const fn new(rules: Arc<UpgradeRules>, limits: &Limits) -> Self {
        Self { rules, gather: Gather::new(b"", limits), owed: Vec::new() }
    }

    /// Takes bytes of the request. After `Done` and after an error alike, [`fill`](Self::fill) has the answer.
    pub fn receive(&mut self, data: &[u8]) -> Result<Progress<Upgraded>, HttpError> {
        let result = self.take(data);
        if let Err(error) = &result
            && *error != HttpError::Finished
        {
            self.owed = refuse(error);
        }
        result
    }

    /// Whether [`fill`](Self::fill) has something to write.
    pub const fn wants_fill(&self) -> bool {
        !self.owed.is_empty()
    }

    /// Writes the answer, once.
    pub fn fill(&mut self, buf: &mut Buf) {
        buf.extend(&mem::take(&mut self.owed));
    }

    fn take(&mut self, data: &[u8]) -> Result<Progress<Upgraded>, HttpError> {
        let Some((head, consumed)) = self.gather.take(data)? else {
            return Ok(Progress::More);
        };
        let request = parse_request(&head, self.gather.headers())?;
        let (response, key) = self.rules.check(&request)?;
        self.owed = welcome(key, response.subprotocol.as_deref());
        Ok(Progress::Done { consumed, response })
    }

    #[cfg(test)]
    pub(super) const fn held(&self) -> usize {
        self.gather.capacity() + self.owed.capacity()
    }
}

impl UpgradeRules {
    fn check<'a>(&self, request: &Request<'a>) -> Result<(Upgraded, &'a str), HttpError> {
        let host = check_http(request)?;
        let path = self.check_path(request.target)?;
        let key = check_websocket(&request.fields)?;
        let origin = self.check_origin(&request.fields)?;
        let subprotocol = self.choose(&request.fields);
        Ok((Upgraded { path: path.to_owned(), subprotocol, origin, host: host.to_owned() }, key))
    }

    fn check_path<'a>(&self, target: &'a str) -> Result<&'a str, HttpError> {
        let path = origin_form(target);
        let bare = path.split_once('?').map_or(path, |(bare, _)| bare);
        match &self.path {
            Some(only) if only != bare => Err(HttpError::PathUnknown(bare.to_owned())),
            _ => Ok(path),
        }
    }

    fn check_origin(&self, fields: &Fields<'_>) -> Result<Option<String>, HttpError> {
        let origin = fields.all("origin").collect::<Vec<_>>().join(", ");
        if origin.is_empty() {
            return Ok(None);
        }
        match &self.origins {
            Some(allowed) if !allowed.iter().any(|one| one.eq_ignore_ascii_case(&origin)) => {
                Err(HttpError::OriginRefused(origin))
            }
            _ => Ok(Some(origin)),
        }
    }

    fn choose(&self, fields: &Fields<'_>) -> Option<String> {
        let offers = |own: &&String| fields.list("sec-websocket-protocol").any(|offered| offered == *own);
        self.subprotocols.iter().find(offers).cloned()
    }
}

fn check_http<'a>(request: &Request<'a>) -> Result<&'a str, HttpError> {
    if !request.is_11 {
        return Err(HttpError::Version);
    }
    if request.method != "GET" {
        return Err(HttpError::Method(request.method.to_owned()));
    }
    let fields = &request.fields;
    let length = fields.check_length()?;
    if length.is_some_and(|length| length != "0") || fields.all("transfer-encoding").next().is_some() {
        return Err(HttpError::BodyAnnounced);
    }
    fields.one("host", HttpError::HostTwice)?.ok_or(HttpError::HostMissing)
}

fn check_websocket<'a>(fields: &Fields<'a>) -> Result<&'a str, HttpError> {
    if !fields.has("upgrade", "websocket") {
        return Err(HttpError::UpgradeMissing);
    }
    if !fields.has("connection", "upgrade") {
        return Err(HttpError::ConnectionMissing);
    }
    if fields.one("sec-websocket-version", HttpError::WebSocketVersion)? != Some("13") {
        return Err(HttpError::WebSocketVersion);
    }
    let key = fields.one("sec-websocket-key", HttpError::KeyTwice)?.ok_or(HttpError::KeyMissing)?;
    match STANDARD.decode(key) {
        Ok(bytes) if bytes.len() == 16 => Ok(key),
        _ => Err(HttpError::KeyInvalid),
    }
}

/// The path of a target, which may be a whole address (RFC 9112, section 3.2.2).
fn origin_form(target: &str) -> &str {
    let Some((_, rest)) = target.split_once("://").filter(|_| !target.starts_with('/')) else {
        return target;
    };
    rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
}

fn welcome(key: &str, subprotocol: Option<&str>) -> Vec<u8> {
    let accept = accept_value(key);
    let mut head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n"
    );
    if let Some(name) = subprotocol {
        head += &format!("Sec-WebSocket-Protocol: {name}\r\n");
    }
    (head + "\r\n").into_bytes()
}

fn refuse(error: &HttpError) -> Vec<u8> {
    let (status, text) = (error.status(), format!("{error}\n"));
    let more = match status {
        405 => "Allow: GET\r\n",
        426 => "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        _ => "",
    };
    // RFC 9110, section 7.8: who sends Upgrade lists it in Connection.
    let connection = if status == 426 { "close, Upgrade" } else { "close" };
    format!(
        "HTTP/1.1 {status} {}\r\nConnection: {connection}\r\n{more}Content-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {}\r\n\r\n{text}",
        reason(status),
        text.len()
    )
    .into_bytes()
}

const fn reason(status: u16) -> &'static str {
    match status {
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        426 => "Upgrade Required",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        505 => "HTTP Version Not Supported",
        _ => "Bad Request",
    }
}
