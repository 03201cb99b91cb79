//! HTTP heads: what clients and servers answer to any bytes, and what is written for any request.

use std::fmt::Debug;
use std::sync::Arc;

use switchboard::link::http::{
    Agreed, Connect, HttpError, Progress, UpgradeClient, UpgradeRequest, UpgradeRules, UpgradeServer, Upgraded,
};
use switchboard::machine::buf::Buf;
use switchboard::machine::limits::Limits;
use switchboard::machine::payload::Flow;
use switchboard::machine::rng::Rng;

use crate::cuts::Cuts;
use crate::memory;
use crate::script::Script;

/// Any bytes as a request for a WebSocket.
pub fn upgrade_server(data: &[u8]) {
    let rules = UpgradeRules {
        path: data.first().filter(|how| **how & 0x40 != 0).map(|_| "/board".to_owned()),
        subprotocols: vec!["chat".to_owned(), "superchat".to_owned()],
        origins: data.first().filter(|how| **how & 0x80 != 0).map(|_| vec!["https://example.com".to_owned()]),
    };
    let rules = Arc::new(rules);
    let verdict = check(data, || UpgradeServer::new(Arc::clone(&rules), &limits()));
    let Some(Verdict { outcome: Ok(upgraded), .. }) = verdict else { return };
    assert!(upgraded.path.starts_with('/'), "{:?} is no path", upgraded.path);
    assert!(upgraded.subprotocol.is_none_or(|chosen| rules.subprotocols.contains(&chosen)));
    assert!(rules.path.as_ref().is_none_or(|only| upgraded.path.split('?').next() == Some(only)));
}

/// Any bytes as the answer to a request for a WebSocket.
pub fn upgrade_client(data: &[u8]) {
    let offered = if data.first().is_some_and(|how| how & 0x40 != 0) { vec!["chat".to_owned()] } else { Vec::new() };
    let request = UpgradeRequest {
        host_header: "board.example".to_owned(),
        path_and_query: "/".to_owned(),
        subprotocols: offered.clone(),
        ..UpgradeRequest::default()
    };
    let client = || UpgradeClient::new(request.clone(), &limits(), &mut Rng::from_u64(0)).expect("a plain request");
    if let Some(Verdict { outcome: Ok(agreed), .. }) = check(data, client) {
        assert_eq!(agreed.subprotocol.into_iter().collect::<Vec<_>>(), offered);
    }
}

/// Any bytes as a proxy's answer.
pub fn http_connect(data: &[u8]) {
    check(data, || Connect::new("board.example:443", None, &limits()).expect("a plain target"));
}

/// Any request: one that is written at all is understood by our server as it was meant, and is one head only.
pub fn http_request(data: &[u8]) {
    let wish = Wish::read(&mut Script::new(data));
    ask_for_websocket(&wish);
    ask_proxy(&wish);
}

#[derive(Debug)]
struct Wish {
    host: String,
    path: String,
    subprotocols: Vec<String>,
    headers: Vec<(String, String)>,
    credentials: Option<(String, String)>,
}

impl Wish {
    fn read(script: &mut Script<'_>) -> Self {
        let (host, path) = (script.text(), script.text());
        let subprotocols = script.list(Script::text);
        let headers = script.list(|script| (script.text(), script.text()));
        let credentials = (!script.is_over()).then(|| (script.text(), script.text()));
        Self { host, path, subprotocols, headers, credentials }
    }
}

fn ask_for_websocket(wish: &Wish) {
    let request = UpgradeRequest {
        host_header: wish.host.clone(),
        path_and_query: wish.path.clone(),
        subprotocols: wish.subprotocols.clone(),
        headers: wish.headers.clone(),
    };
    let Ok(mut client) = UpgradeClient::new(request, &limits(), &mut Rng::from_u64(0)) else { return };
    let head = written(&mut client);
    let rules = UpgradeRules { subprotocols: wish.subprotocols.clone(), ..UpgradeRules::default() };
    let mut server = UpgradeServer::new(Arc::new(rules), &limits());
    let upgraded = match server.receive(&head) {
        Err(HttpError::HeadTooLarge { .. } | HttpError::TooManyHeaders { .. }) => return,
        Ok(Progress::Done { consumed, response }) if consumed == head.len() => response,
        other => panic!("{:?} gave {other:?}", String::from_utf8_lossy(&head)),
    };
    assert_eq!((&upgraded.host, &upgraded.path), (&wish.host, &wish.path));
    assert_eq!(upgraded.subprotocol.as_ref(), wish.subprotocols.first());
    let welcome = written(&mut server);
    let agreed = Progress::Done { consumed: welcome.len(), response: Agreed { subprotocol: upgraded.subprotocol } };
    assert_eq!(client.receive(&welcome), Ok(agreed));
}

fn ask_proxy(wish: &Wish) {
    let credentials = wish.credentials.as_ref().map(|(user, password)| (user.as_str(), password.as_str()));
    let Ok(mut connect) = Connect::new(&wish.host, credentials, &limits()) else { return };
    let head = String::from_utf8(written(&mut connect)).expect("a head is text");
    let lines: Vec<&str> = head.split("\r\n").collect();
    assert_eq!(lines.len(), 4 + usize::from(credentials.is_some()), "{head:?}");
    assert!(head.ends_with("\r\n\r\n") && !head.replace("\r\n", "").contains(['\r', '\n']));
}

fn limits() -> Limits {
    Limits { http_head: 1500, http_headers: 12, ..Limits::default() }
}

/// One head for one head.
trait Exchange {
    type Response: Debug + PartialEq;

    fn receive(&mut self, data: &[u8]) -> Result<Progress<Self::Response>, HttpError>;
    fn wants_fill(&self) -> bool;
    fn fill(&mut self, buf: &mut Buf);
    /// Whether an error has an answer.
    const ANSWERS: bool;
}

#[derive(Debug, PartialEq)]
struct Verdict<T> {
    /// None, as an error: the head is not whole.
    outcome: Result<T, Option<HttpError>>,
    consumed: usize,
    answer: Vec<u8>,
}

fn check<E: Exchange>(data: &[u8], exchange: impl Fn() -> E) -> Option<Verdict<E::Response>> {
    let (&how, wire) = data.split_first()?;
    let whole = feed(exchange(), wire, Cuts::none());
    let (pieces, peak) = memory::peak(|| feed(exchange(), wire, Cuts::of(how)));
    assert_eq!(pieces, whole, "in chunks, then whole");
    let limit = limits().http_head;
    assert!(peak < 16 * limit + 8192, "{peak} bytes of memory for a head of {limit}");
    assert!(whole.consumed <= limit);
    Some(whole)
}

fn feed<E: Exchange>(mut exchange: E, wire: &[u8], mut cuts: Cuts) -> Verdict<E::Response> {
    let asked = written(&mut exchange);
    assert_eq!(asked.is_empty(), E::ANSWERS);
    let (mut rest, mut consumed, mut outcome) = (wire, 0, Err(None));
    while !rest.is_empty() && outcome == Err(None) {
        let chunk = cuts.chunk(&mut rest, Flow::Go);
        outcome = match exchange.receive(&chunk) {
            Ok(Progress::More) => {
                consumed += chunk.len();
                continue;
            }
            Ok(Progress::Done { consumed: last, response }) => {
                consumed += last;
                Ok(response)
            }
            // An error comes at the same byte, but a chunk may be longer than that.
            Err(error) => {
                assert!(!error.to_string().contains(['\r', '\n']), "an error of several lines");
                consumed = 0;
                Err(Some(error))
            }
        };
    }
    let answer = written(&mut exchange);
    assert_eq!(answer.is_empty(), !E::ANSWERS || outcome == Err(None));
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "));
    if outcome != Err(None) {
        assert_eq!(exchange.receive(b"GET"), Err(HttpError::Finished));
        assert!(!exchange.wants_fill());
    }
    Verdict { outcome, consumed, answer }
}

fn written<E: Exchange>(exchange: &mut E) -> Vec<u8> {
    let (wanted, mut buf) = (exchange.wants_fill(), Buf::new(1));
    exchange.fill(&mut buf);
    assert!(wanted != buf.is_empty() && !exchange.wants_fill(), "`wants_fill` is wrong");
    std::mem::take(buf.vec())
}

macro_rules! exchange {
    ($name:ty, $response:ty, $answers:literal) => {
        impl Exchange for $name {
            type Response = $response;
            const ANSWERS: bool = $answers;

            fn receive(&mut self, data: &[u8]) -> Result<Progress<Self::Response>, HttpError> {
                Self::receive(self, data)
            }

            fn wants_fill(&self) -> bool {
                Self::wants_fill(self)
            }

            fn fill(&mut self, buf: &mut Buf) {
                Self::fill(self, buf);
            }
        }
    };
}

exchange!(UpgradeServer, Upgraded, true);
exchange!(UpgradeClient, Agreed, false);
exchange!(Connect, (), false);
