use super::*;
use crate::link::stun::TransactionId;

const ID: TransactionId = TransactionId([7; 12]);

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

fn server() -> Server {
    let endpoints = Endpoints { primary: at("192.0.2.1:3478"), other: Some(at("192.0.2.2:3479")) };
    Server::new(endpoints, Some("test".to_owned()))
}

fn small_server() -> Server {
    Server::new(Endpoints { primary: at("192.0.2.1:3478"), other: None }, None)
}

fn client() -> SocketAddr {
    at("203.0.113.5:40000")
}

fn ask(server: &mut Server, to: &str, request: &Request) -> (Reply, Body) {
    let reply = server.answer(at(to), client(), &request.encode(ID)).unwrap();
    let message = Message::parse(&reply.bytes).unwrap();
    assert_eq!(message.id, ID);
    let body = message.body;
    (reply, body)
}

#[test]
fn a_client_learns_its_address_and_the_other_endpoint() {
    let (reply, body) = ask(&mut server(), "192.0.2.1:3478", &Request::default());
    assert_eq!((reply.from, reply.to), (at("192.0.2.1:3478"), client()));
    let expected = Success {
        mapped: Some(client()),
        origin: Some(at("192.0.2.1:3478")),
        other: Some(at("192.0.2.2:3479")),
        padding: None,
        software: Some("test".to_owned()),
    };
    assert_eq!(body, Body::Success(expected));
}

#[test]
fn answers_leave_from_where_they_were_asked_to() {
    let cases = [
        ("192.0.2.1:3478", Change::BOTH, "192.0.2.2:3479"),
        ("192.0.2.1:3478", Change::PORT, "192.0.2.1:3479"),
        ("192.0.2.1:3478", Change { address: true, port: false }, "192.0.2.2:3478"),
        ("192.0.2.2:3478", Change::BOTH, "192.0.2.1:3479"),
        ("192.0.2.2:3479", Change::NONE, "192.0.2.2:3479"),
    ];
    for (to, change, from) in cases {
        let (reply, body) = ask(&mut server(), to, &Request { change, ..Request::default() });
        assert_eq!(reply.from, at(from), "{change:?} of {to}");
        assert!(matches!(body, Body::Success(Success { origin, .. }) if origin == Some(at(from))));
    }
}

#[test]
fn the_other_endpoint_is_the_one_with_neither_the_address_nor_the_port() {
    for endpoint in server().endpoints().all() {
        let (_, body) = ask(&mut server(), &endpoint.to_string(), &Request::default());
        let Body::Success(Success { other: Some(other), .. }) = body else { panic!("{body:?}") };
        assert!(other.ip() != endpoint.ip() && other.port() != endpoint.port(), "{endpoint} and {other}");
    }
}

#[test]
fn a_server_with_one_address_refuses_to_change_it() {
    let mut server = small_server();
    let (reply, body) = ask(&mut server, "192.0.2.1:3478", &Request { change: Change::PORT, ..Request::default() });
    assert_eq!((reply.from, body), (at("192.0.2.1:3478"), Body::Error { code: 420 }));
    let (_, body) = ask(&mut server, "192.0.2.1:3478", &Request::default());
    assert!(matches!(body, Body::Success(Success { other: None, software: None, .. })));
    assert_eq!(server.counters(), ServerCounters { answered: 1, refused: 1, ..ServerCounters::default() });
}

#[test]
fn an_answer_goes_to_the_port_that_was_asked_for() {
    let asked = Request { response_port: Some(5000), ..Request::default() };
    let (reply, _) = ask(&mut server(), "192.0.2.1:3478", &asked);
    assert_eq!(reply.to, at("203.0.113.5:5000"));
}

#[test]
fn padding_comes_back_as_long_as_it_was_and_to_nobody_else() {
    let mut server = server();
    let padded = Request { padding: Some(1000), ..Request::default() };
    let (reply, body) = ask(&mut server, "192.0.2.1:3478", &padded);
    assert!(matches!(body, Body::Success(Success { padding: Some(1000), .. })));
    assert!(reply.bytes.len() < padded.encode(ID).len() + 100);
    let (reply, body) = ask(&mut server, "192.0.2.1:3478", &Request { response_port: Some(5000), ..padded });
    assert_eq!((reply.to, body), (client(), Body::Error { code: 400 }));
}

#[test]
fn what_is_no_request_is_dropped_and_counted() {
    let mut server = server();
    let to = at("192.0.2.1:3478");
    assert_eq!(server.answer(to, client(), b"hello"), Err(Dropped::Malformed(Malformed::NotStun)));
    let told = Success { mapped: Some(client()), ..Success::default() }.encode(ID);
    assert_eq!(server.answer(to, client(), &told), Err(Dropped::NotARequest));
    assert_eq!(server.answer(to, at("203.0.113.5:0"), &Request::default().encode(ID)), Err(Dropped::NoPort));
    assert_eq!(server.counters(), ServerCounters { malformed: 1, unanswerable: 2, ..ServerCounters::default() });
}
