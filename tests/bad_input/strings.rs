//! Connection strings that are wrong in one part each: the error names the part and shows no secret.

use switchboard::connect::{ConnectError, Options, Part, Registry, Role};
use switchboard::link::http::HttpError;
use switchboard::link::tls::TlsError;
use switchboard::machine::port::PortError;
use switchboard::stack::dial::DialError;
use switchboard::stack::stream::StreamError;
use switchboard::transport::{DownReason, TransportEvent};

use crate::common::{dialling, options};
use crate::scene::Scene;

fn dial(string: &str, options: &Options) -> ConnectError {
    Registry::new().dial(string, options).err().unwrap_or_else(|| panic!("{string} is in order"))
}

fn listen(string: &str, options: &Options) -> ConnectError {
    Registry::new().listen(string, options).err().unwrap_or_else(|| panic!("{string} is in order"))
}

/// Dialled or listened to, the strings are wrong in this part, and the message says so after the string.
#[track_caller]
fn are_wrong_in(part: Part, strings: &[&str]) {
    for string in strings {
        for error in [dial(string, &options()), listen(string, &options())] {
            let ConnectError::Malformed { part: named, rule, .. } = &error else { panic!("{string}: {error:?}") };
            assert_eq!(*named, part, "{string:?}: {error}");
            assert!(error.to_string().ends_with(&format!(": {part}: {rule}")), "{error}");
        }
    }
}

#[test]
fn a_string_wrong_as_a_whole_is_refused() {
    let long = format!("tcp:{}:7000", "a".repeat(5000));
    are_wrong_in(
        Part::Whole,
        &["tcp: host:7000", "tcp:host:7000\n", "tcp:ho\0st:7000", "ws:host:7000", "wss:/host", &long],
    );
}

#[test]
fn a_string_with_a_wrong_type_is_refused() {
    are_wrong_in(Part::Type, &["", ":host:7000", "1tcp:host:7000", "t_cp:host:7000", "//host:7000"]);
}

#[test]
fn a_string_of_an_unknown_type_is_told_the_known_ones() {
    let error = dial("gopher:host:70", &options());
    let served = if cfg!(all(feature = "stun", feature = "turn")) { ["stun, ", "turn, turns, "] } else { [""; 2] };
    let known = format!("offline, pair, {}tcp, tls, {}ws, wss", served[0], served[1]);
    let string = "gopher:host:70".to_owned();
    assert_eq!(error, ConnectError::UnknownType { string, kind: "gopher".to_owned(), known });
}

#[test]
fn a_string_with_a_wrong_host_is_refused() {
    let long = format!("tcp:{}:7000", "a".repeat(254));
    are_wrong_in(Part::Host, &["tcp:", "tcp::7000", "tcp:ho/st:7000", "tls:[::1:7000", "tls:[host]:7000", &long]);
    are_wrong_in(Part::Host, &["ws://", "ws://:80/", "wss:///path", "wss://::1/", "wss://h\u{f6}st/", "ws://[::1/"]);
}

#[test]
fn a_string_with_a_wrong_port_is_refused() {
    are_wrong_in(
        Part::Port,
        &["tcp:host", "tcp:host:", "tcp:host:x", "tcp:host:65536", "tls:host:-1", "tls:[::1]7000"],
    );
    are_wrong_in(Part::Port, &["ws://host:/", "ws://host:99999/", "wss://host:7000x/"]);
}

#[test]
fn port_0_can_be_listened_to_but_not_dialled() {
    for string in ["tcp:host:0", "tls:host:0", "ws://host:0/", "wss://host:0/"] {
        let error = dial(string, &options());
        assert!(matches!(error, ConnectError::Malformed { part: Part::Port, .. }), "{error}");
        assert!(Registry::new().listen(string, &options()).is_ok(), "{string}");
    }
}

#[test]
fn a_string_with_a_wrong_path_is_refused() {
    are_wrong_in(Part::Path, &["ws://host/a#b", "wss://host/?a#b", "ws://host/\u{f6}"]);
}

#[test]
fn a_string_with_a_user_is_refused_and_the_password_is_not_shown() {
    are_wrong_in(Part::User, &["ws://user@host/", "wss://user:secret@host:7000/"]);
    let shown = format!("{0} {0:?}", dial("wss://user:secret@host/?token=secret", &options()));
    assert!(!shown.contains("secret") && shown.contains("user:***@host"), "{shown}");
}

#[test]
fn a_pair_without_a_name_is_refused_and_a_pair_has_no_listener() {
    let error = dial("pair:", &options());
    assert!(matches!(error, ConnectError::Malformed { part: Part::Name, .. }), "{error}");
    for string in ["pair:name", "offline"] {
        let wrong = ConnectError::WrongRole { string: string.to_owned(), role: Role::Listen };
        assert_eq!(listen(string, &options()), wrong);
    }
}

#[test]
fn tls_without_trust_or_identity_is_refused_and_told_what_to_set() {
    for string in ["tls:host:7000", "wss://host/"] {
        let none = Options::default();
        assert_eq!(dial(string, &none), ConnectError::NoTrust { string: string.to_owned() });
        assert_eq!(listen(string, &none), ConnectError::NoIdentity { string: string.to_owned() });
    }
}

#[test]
fn a_wrong_proxy_is_refused_and_its_password_is_not_shown() {
    for (proxy, part) in [
        ("socks5://host:1080", Part::Proxy),
        ("http:host:3128", Part::Proxy),
        ("http://user@host:3128", Part::Proxy),
        ("http://user:secret@host", Part::Port),
        ("http://user:secret@:3128", Part::Host),
        ("proxy host", Part::Whole),
    ] {
        let error = dial("tcp:host:7000", &Options { proxy: Some(proxy.to_owned()), ..options() });
        let ConnectError::Malformed { part: named, .. } = &error else { panic!("{proxy}: {error:?}") };
        assert_eq!(*named, part, "{proxy}: {error}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
    }
}

/// What only the network, or a handshake that cannot begin, can tell is told by the first event.
#[test]
fn a_string_that_is_in_order_but_leads_nowhere_is_refused_when_it_is_dialled() {
    let header = |value: &str| vec![("X".to_owned(), value.to_owned())];
    let long = format!("{}.test", "a".repeat(70));
    let connect = |error| DownReason::Dial(DialError::Connect(error));
    let invalid = TlsError::InvalidServerName { name: long.clone() };
    for (string, options, reason) in [
        ("tcp:nowhere.test:7000".to_owned(), options(), DownReason::Dial(DialError::Resolve(PortError::NameNotFound))),
        ("ws://server.test:7001/".to_owned(), options(), connect(PortError::Refused)),
        (format!("tls:{long}:7000"), options(), DownReason::Stream(StreamError::Tls(invalid))),
        (
            "ws://server.test:7000/".to_owned(),
            Options { headers: header("a\r\nb"), ..options() },
            DownReason::Stream(StreamError::Http(HttpError::InvalidPart("header's value"))),
        ),
    ] {
        let mut scene = Scene::new("ws");
        let server = scene.server.host;
        scene.world.name(&long, &[server]);
        scene.add(scene.friend.host, dialling(&string, &options));
        let refused = |event: &TransportEvent| matches!(event, TransportEvent::Refused(None, why) if *why == reason);
        scene.until(|scene| scene.friend.events.iter().any(refused));
        scene.over(0);
        assert_eq!(scene.friend.events.last(), Some(&TransportEvent::Failed(reason.clone())), "{string}");
    }
}
