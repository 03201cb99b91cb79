use std::sync::Arc;

use super::*;
use crate::machine::buf::Buf;
use crate::machine::limits::Limits;
use crate::machine::rng::Rng;

const REQUEST: &str = "GET /chat?x=1 HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://example.com\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n";

#[test]
fn the_key_of_the_rfc_gives_its_accept_value() {
    assert_eq!(accept_value("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn the_request_of_the_rfc_is_accepted_and_answered() {
    let rules = UpgradeRules { subprotocols: vec!["x".to_owned(), "chat".to_owned()], ..UpgradeRules::default() };
    let mut server = server(rules);
    let Progress::Done { consumed, response } = server.receive(REQUEST.as_bytes()).unwrap() else { panic!("More") };
    assert_eq!(consumed, REQUEST.len());
    assert_eq!((response.path.as_str(), response.host.as_str()), ("/chat?x=1", "server.example.com"));
    assert_eq!(response.subprotocol.as_deref(), Some("chat"));
    assert_eq!(response.origin.as_deref(), Some("http://example.com"));
    assert_eq!(
        answer(&mut server),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
    );
}

#[test]
fn client_and_server_agree_and_give_back_what_follows_whatever_the_split() {
    for seed in 0..300 {
        let mut rng = Rng::from_u64(seed);
        let rules = UpgradeRules { subprotocols: vec!["b".to_owned()], ..UpgradeRules::default() };
        let (mut client, mut server) = (client(&["a", "b"], &mut rng), server(rules));
        let mut buf = Buf::new(1000);
        client.fill(&mut buf);
        let asked = feed(buf.as_slice(), &mut rng, |part| server.receive(part));
        assert_eq!(asked.subprotocol.as_deref(), Some("b"), "seed {seed}");
        assert_eq!((asked.path.as_str(), asked.host.as_str()), ("/room?id=1", "[::1]:8080"), "seed {seed}");
        let agreed = feed(answer(&mut server).as_bytes(), &mut rng, |part| client.receive(part));
        assert_eq!(agreed.subprotocol.as_deref(), Some("b"), "seed {seed}");
        assert_eq!((client.held(), server.held()), (0, 0), "seed {seed}");
    }
}

#[test]
fn a_head_in_pieces_holds_only_what_came() {
    let mut server = server(UpgradeRules::default());
    server.receive(&REQUEST.as_bytes()[..100]).unwrap();
    assert!((100..200).contains(&server.held()));
    server.receive(&REQUEST.as_bytes()[100..]).unwrap();
    answer(&mut server);
    assert_eq!(server.held(), 0);
}

#[test]
fn a_head_just_below_the_limit_holds_no_more_than_the_limit() {
    let mut server = server(UpgradeRules::default());
    for piece in [1000; 16].into_iter().chain([300]) {
        server.receive(&vec![b'G'; piece]).unwrap();
    }
    assert!(server.held() <= Limits::default().http_head);
}

#[test]
fn tokens_are_found_in_any_case_in_lists_over_several_lines() {
    let request = REQUEST
        .replace("Connection: Upgrade", "connection: keep-alive,\tUPGRADE , x\r\nConnection: te")
        .replace("Upgrade: websocket", "UPGRADE: h2c\r\nUpgrade: ,WebSocket")
        .replace("chat, superchat", "chat\r\nSec-WebSocket-Protocol: superchat");
    let rules = UpgradeRules { subprotocols: vec!["superchat".to_owned()], ..UpgradeRules::default() };
    let Progress::Done { response, .. } = server(rules).receive(request.as_bytes()).unwrap() else { panic!("More") };
    assert_eq!(response.subprotocol.as_deref(), Some("superchat"));
}

#[test]
fn a_server_refuses_each_broken_rule_by_its_name_and_status() {
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let host = "Host: server.example.com\r\n";
    let cases = [
        ("Host:", "Ho\nst:", HttpError::LineEnd, 400),
        ("Host:", "X: \rHost:", HttpError::LineEnd, 400),
        ("Host: server.example.com\r\n", "Host: server.example.com\n", HttpError::LineEnd, 400),
        (host, "Host: a\r\n b\r\n", HttpError::Malformed("invalid header name".to_owned()), 400),
        (host, "Host: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n", HttpError::TwoLengths, 400),
        (host, "content-length: 1\r\nTransfer-Encoding: chunked\r\n", HttpError::LengthAndEncoding, 400),
        (host, "Host: a\r\nContent-Length: 1\r\n", HttpError::BodyAnnounced, 400),
        (host, "Host: a\r\nTransfer-Encoding: chunked\r\n", HttpError::BodyAnnounced, 400),
        ("GET", "POST", HttpError::Method("POST".to_owned()), 405),
        ("GET", "BREW", HttpError::Method("BREW".to_owned()), 501),
        ("HTTP/1.1", "HTTP/1.0", HttpError::Version, 505),
        ("HTTP/1.1", "HTTP/2.0", HttpError::Version, 505),
        (host, "", HttpError::HostMissing, 400),
        (host, "Host: a\r\nHost: a\r\n", HttpError::HostTwice, 400),
        ("Upgrade: websocket", "Upgrade: h2c", HttpError::UpgradeMissing, 426),
        ("Connection: Upgrade", "Connection: close", HttpError::ConnectionMissing, 400),
        ("Version: 13", "Version: 8", HttpError::WebSocketVersion, 426),
        ("Sec-WebSocket-Version: 13\r\n", "", HttpError::WebSocketVersion, 426),
        (key, "", HttpError::KeyMissing, 400),
        (key, &key.repeat(2), HttpError::KeyTwice, 400),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ==", HttpError::KeyInvalid, 400),
        ("dGhlIHNhbXBsZSBub25jZQ==", "not base64", HttpError::KeyInvalid, 400),
        ("/chat", "/other", HttpError::PathUnknown("/other".to_owned()), 404),
        ("/chat", "chat", HttpError::TargetNotPath, 400),
        ("/chat?x=1", "*", HttpError::TargetNotPath, 400),
        ("http://example.com", "http://evil", HttpError::OriginRefused("http://evil".to_owned()), 403),
    ];
    for (old, new, error, status) in cases {
        let request = REQUEST.replacen(old, new, 1);
        assert_ne!(request, REQUEST);
        let mut server = server(strict());
        assert_eq!(server.receive(request.as_bytes()), Err(error.clone()), "{request}");
        let answer = answer(&mut server);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert_eq!(answer.contains("\r\nSec-WebSocket-Version: 13\r\n"), status == 426);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("\r\nConnection: close") && body == format!("{error}\n"));
        assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())));
    }
    assert!(server(strict()).receive(REQUEST.as_bytes()).is_ok());
}

#[test]
fn a_head_beyond_the_limits_is_refused_before_its_end() {
    let limits = Limits { http_head: 100, http_headers: 3, ..Limits::default() };
    let mut server = UpgradeServer::new(Arc::new(UpgradeRules::default()), &limits);
    let error = REQUEST.as_bytes().iter().find_map(|byte| server.receive(&[*byte]).err());
    assert_eq!(error, Some(HttpError::HeadTooLarge { limit: 100 }));
    assert!(answer(&mut server).starts_with("HTTP/1.1 431 "));
    assert_eq!(server.held(), 0);
    let mut server = UpgradeServer::new(Arc::new(UpgradeRules::default()), &Limits { http_headers: 3, ..limits });
    let many = "GET / HTTP/1.1\r\na: 1\r\nb: 1\r\nc: 1\r\nd: 1\r\n\r\n";
    assert_eq!(server.receive(many.as_bytes()), Err(HttpError::TooManyHeaders { limit: 3 }));
}

#[test]
fn a_client_that_is_no_browser_says_no_origin_and_is_let_in() {
    let request = REQUEST.replace("Origin: http://example.com\r\n", "");
    assert!(matches!(server(strict()).receive(request.as_bytes()), Ok(Progress::Done { .. })));
}

#[test]
fn a_target_may_be_a_whole_address() {
    let request = REQUEST.replace("/chat?x=1", "http://server.example.com/chat?x=1");
    let Ok(Progress::Done { response, .. }) = server(strict()).receive(request.as_bytes()) else { panic!("refused") };
    assert_eq!(response.path, "/chat?x=1");
}

#[test]
fn the_path_of_a_whole_address_begins_where_its_host_ends() {
    for (target, path) in [("ws://a", "/"), ("ws://a?to=/b", "/?to=/b"), ("ws://a/b?c=/d", "/b?c=/d")] {
        let request = REQUEST.replace("/chat?x=1", target);
        let result = server(UpgradeRules::default()).receive(request.as_bytes());
        assert!(matches!(&result, Ok(Progress::Done { response, .. }) if response.path == path), "{result:?}");
    }
}

#[test]
fn bytes_after_the_end_are_refused_and_change_no_answer() {
    let mut server = server(UpgradeRules::default());
    server.receive(REQUEST.as_bytes()).unwrap();
    assert_eq!(server.receive(b"x"), Err(HttpError::Finished));
    assert!(answer(&mut server).starts_with("HTTP/1.1 101 "));
}

#[test]
fn a_client_refuses_each_broken_rule_by_its_name() {
    let found = HttpError::Status { status: 302, location: Some("wss://b/".to_owned()) };
    let accept = "Sec-WebSocket-Accept: ";
    let cases = [
        ("HTTP/", "SSH-2", HttpError::NotHttp),
        ("HTTP/1.1", "HTTP/1.0", HttpError::Version),
        ("101 Switching", "200 OK", HttpError::Status { status: 200, location: None }),
        ("101 Switching Protocols\r\n", "302 Found\r\nLocation: wss://b/\r\n", found),
        ("Upgrade: websocket", "Upgrade: h2c", HttpError::UpgradeMissing),
        ("Connection: Upgrade", "Connection: close", HttpError::ConnectionMissing),
        (accept, "X: ", HttpError::AcceptMissing),
        (accept, "Sec-WebSocket-Accept: x", HttpError::AcceptWrong),
        ("Protocol: b", "Protocol: c", HttpError::SubprotocolUnknown("c".to_owned())),
        ("Protocol: b", "Protocol: b\r\nSec-WebSocket-Protocol: a", HttpError::SubprotocolUnknown("b, a".to_owned())),
        ("Sec-WebSocket-Protocol: b\r\n", "", HttpError::SubprotocolMissing),
        (
            accept,
            "Sec-WebSocket-Extensions: zip; q\r\nSec-WebSocket-Accept: ",
            HttpError::Extension("zip; q".to_owned()),
        ),
        ("\r\n\r\n", "\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", HttpError::TwoLengths),
        ("Upgrade: websocket\r\n", "Upgrade: websocket\n", HttpError::LineEnd),
    ];
    for (old, new, error) in cases {
        let (mut client, good) = exchange();
        let wrong = good.replacen(old, new, 1);
        assert_ne!(wrong, good);
        assert_eq!(client.receive(wrong.as_bytes()), Err(error), "{wrong}");
        assert_eq!(client.held(), 0);
    }
    let (mut client, good) = exchange();
    assert!(matches!(client.receive(good.as_bytes()), Ok(Progress::Done { .. })));
}

#[test]
fn a_client_sees_at_the_first_wrong_byte_that_the_peer_speaks_something_else() {
    let mut client = client(&[], &mut Rng::from_u64(1));
    assert_eq!(client.receive(b"H"), Ok(Progress::More));
    assert_eq!(client.receive(b"E"), Err(HttpError::NotHttp));
}

#[test]
fn a_request_that_would_break_its_own_head_cannot_be_made() {
    type Change = fn(&mut UpgradeRequest);
    let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let cases: [(Change, &'static str); 7] = [
        (|r| r.host_header = "a\r\nX: b".to_owned(), "host"),
        (|r| r.host_header.clear(), "host"),
        (|r| r.path_and_query = "/a b".to_owned(), "path"),
        (|r| r.path_and_query = "a".to_owned(), "path"),
        (|r| r.subprotocols = vec!["a,b".to_owned()], "subprotocol"),
        (|r| r.headers = vec![("a b".to_owned(), String::new())], "header's name"),
        (|r| r.headers = vec![("a".to_owned(), "x\nY: z".to_owned())], "header's value"),
    ];
    for (change, part) in cases {
        let mut request = request(&[]);
        change(&mut request);
        let result = UpgradeClient::new(request, &Limits::default(), &mut Rng::from_u64(1));
        assert_eq!(result.unwrap_err(), HttpError::InvalidPart(part));
    }
    for name in ["Host", "sec-websocket-key", "Content-Length"] {
        let request = UpgradeRequest { headers: header(name, "x"), ..request(&[]) };
        let result = UpgradeClient::new(request, &Limits::default(), &mut Rng::from_u64(1));
        assert_eq!(result.unwrap_err(), HttpError::ReservedHeader(name.to_owned()));
    }
}

#[test]
fn extra_headers_are_sent_and_no_debug_output_shows_them() {
    let headers = vec![("Authorization".to_owned(), "Bearer secret".to_owned())];
    let request = UpgradeRequest { headers, ..request(&[]) };
    assert!(!format!("{request:?}").contains("secret"));
    let mut client = UpgradeClient::new(request, &Limits::default(), &mut Rng::from_u64(1)).unwrap();
    assert!(!format!("{client:?}").contains("secret"));
    let mut buf = Buf::new(1000);
    client.fill(&mut buf);
    assert!(str::from_utf8(buf.as_slice()).unwrap().contains("\r\nAuthorization: Bearer secret\r\n"));
    assert!(!client.wants_fill());
}

#[test]
fn a_proxy_connects_and_what_follows_is_given_back() {
    let mut connect = Connect::new("b.example:443", Some(("user", "pass")), &Limits::default()).unwrap();
    let mut buf = Buf::new(1000);
    connect.fill(&mut buf);
    assert_eq!(
        buf.as_slice(),
        b"CONNECT b.example:443 HTTP/1.1\r\nHost: b.example:443\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n"
    );
    let head = "HTTP/1.0 200 Connection established\r\nContent-Length: 5\r\n\r\n";
    let done = connect.receive(format!("{head}rest").as_bytes());
    assert_eq!(done, Ok(Progress::Done { consumed: head.len(), response: () }));
}

#[test]
fn a_proxy_that_refuses_is_told_apart() {
    let cases = [
        ("HTTP/1.1 407 Who\r\n\r\n", HttpError::ProxyAuthentication),
        ("HTTP/1.0 401 Unauthorized\r\n\r\n", HttpError::ProxyAuthentication),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", HttpError::ProxyRefused(502)),
        ("HTTP/1.1 101 Switching\r\n\r\n", HttpError::ProxyRefused(101)),
        ("\x05\x00", HttpError::NotHttp),
    ];
    for (answer, error) in cases {
        let mut connect = Connect::new("b:1", None, &Limits::default()).unwrap();
        assert_eq!(connect.receive(answer.as_bytes()), Err(error));
    }
    let part = |target, user| Connect::new(target, Some((user, "p")), &Limits::default()).unwrap_err();
    assert_eq!(part("a b:1", "u"), HttpError::InvalidPart("target"));
    assert_eq!(part("a:1", "u:v"), HttpError::InvalidPart("proxy's user or password"));
}

#[test]
fn changed_bytes_never_panic() {
    for seed in 0..5000 {
        let mut rng = Rng::from_u64(seed);
        let (mut client, good) = exchange();
        for (text, is_request) in [(REQUEST, true), (good.as_str(), false)] {
            let mut bytes = text.as_bytes().to_vec();
            for _ in 0..1 + rng.below(3) {
                let at = rng.below(bytes.len() as u64) as usize;
                bytes[at] = rng.u32() as u8;
            }
            let _ = if is_request {
                server(strict()).receive(&bytes).map(|_| ())
            } else {
                client.receive(&bytes).map(|_| ())
            };
        }
    }
}

fn strict() -> UpgradeRules {
    let origins = Some(vec!["http://example.com".to_owned()]);
    UpgradeRules { path: Some("/chat".to_owned()), subprotocols: Vec::new(), origins }
}

fn server(rules: UpgradeRules) -> UpgradeServer {
    UpgradeServer::new(Arc::new(rules), &Limits::default())
}

fn request(subprotocols: &[&str]) -> UpgradeRequest {
    UpgradeRequest {
        host_header: "[::1]:8080".to_owned(),
        path_and_query: "/room?id=1".to_owned(),
        subprotocols: subprotocols.iter().map(|name| (*name).to_owned()).collect(),
        headers: Vec::new(),
    }
}

fn client(subprotocols: &[&str], rng: &mut Rng) -> UpgradeClient {
    UpgradeClient::new(request(subprotocols), &Limits::default(), rng).unwrap()
}

/// A client that has asked, and the answer that it should accept.
fn exchange() -> (UpgradeClient, String) {
    let mut client = client(&["a", "b"], &mut Rng::from_u64(5));
    let mut server = server(UpgradeRules { subprotocols: vec!["b".to_owned()], ..UpgradeRules::default() });
    let mut buf = Buf::new(1000);
    client.fill(&mut buf);
    server.receive(buf.as_slice()).unwrap();
    (client, answer(&mut server))
}

fn answer(server: &mut UpgradeServer) -> String {
    let mut buf = Buf::new(1000);
    assert!(server.wants_fill());
    server.fill(&mut buf);
    assert!(!server.wants_fill());
    String::from_utf8(buf.as_slice().to_vec()).unwrap()
}

/// Feeds a head and three more bytes in random pieces; the three must be given back.
fn feed<T>(head: &[u8], rng: &mut Rng, mut receive: impl FnMut(&[u8]) -> Result<Progress<T>, HttpError>) -> T {
    let wire = [head, b"\r\n\n"].concat();
    let mut at = 0;
    loop {
        let most = if rng.chance(0.5) { 3 } else { wire.len() - at };
        let size = (1 + rng.below(most as u64) as usize).min(wire.len() - at);
        match receive(&wire[at..at + size]).unwrap() {
            Progress::More => at += size,
            Progress::Done { consumed, response } => {
                assert_eq!(at + consumed, head.len());
                return response;
            }
        }
    }
}
