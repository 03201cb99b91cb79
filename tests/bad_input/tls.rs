//! TLS that cannot come about: who notices says why, the other side hears the alert, and neither has a link.

use switchboard::connect::Options;
use switchboard::link::tls::{ClientConfig, Identity, ServerConfig, TlsError, TlsVersion};
use switchboard::stack::stream::StreamError;
use switchboard::transport::DownReason;

use crate::common::{Authority, dialling, options, string};
use crate::raw::Wrap;
use crate::scene::Scene;

const KINDS: [&str; 2] = ["tls", "wss"];

const fn broken(error: TlsError) -> DownReason {
    DownReason::Stream(StreamError::Tls(error))
}

fn alert(name: &str) -> TlsError {
    TlsError::PeerAlert(name.to_owned())
}

/// Options of an authority's listener for `server.test` and of who trusts it, and the authority.
fn authority() -> (Authority, Options) {
    let authority = Authority::new();
    let identity = ServerConfig::new(&authority.identity(&["server.test"])).unwrap();
    let options = Options { trust: Some(authority.trust()), identity: Some(identity), ..Options::default() };
    (authority, options)
}

/// The friend also dials a server that shows this certificate, and refuses it.
#[track_caller]
fn friend_refuses(options: &Options, identity: &Identity, rule: &TlsError, told: &str) {
    for kind in KINDS {
        let mut scene = Scene::with(kind, options.clone());
        scene.become_server(Wrap::Server(ServerConfig::new(identity).unwrap()));
        scene.friend_dials();
        assert_eq!(scene.refusal().0, broken(rule.clone()), "{kind}");
        let port = scene.only_connection();
        assert_eq!(scene.alert(port), Some(alert(told)), "{kind}");
        scene.over(0);
    }
}

#[test]
fn a_certificate_for_another_name_is_refused_and_the_server_hears_why() {
    for kind in KINDS {
        let mut scene = Scene::new(kind);
        scene.add(scene.friend.host, dialling(&string(kind, "other.test"), &scene.options));
        assert_eq!(scene.refusal().0, broken(alert("BadCertificate")), "{kind}");
        let [DownReason::Stream(StreamError::Tls(TlsError::WrongName { expected, presented }))] =
            scene.friend.refusals()[..]
        else {
            panic!("{kind}: {:?}", scene.friend.events)
        };
        assert_eq!((expected.as_str(), presented.len()), ("other.test", 2));
        assert!(presented[0].contains("server.test"), "{presented:?}");
        scene.over(0);
    }
}

#[test]
fn an_expired_certificate_of_a_server_is_refused_and_told_so() {
    let (authority, options) = authority();
    let old = authority.identity_between(&["server.test"], 1990, 2000);
    friend_refuses(&options, &old, &TlsError::Expired, "CertificateExpired");
}

#[test]
fn a_certificate_that_is_not_valid_yet_is_refused_and_told_so() {
    let (authority, options) = authority();
    let early = authority.identity_between(&["server.test"], 2040, 2050);
    friend_refuses(&options, &early, &TlsError::NotYetValid, "CertificateExpired");
}

#[test]
fn a_certificate_of_an_unknown_issuer_is_refused_and_told_so() {
    let (_, options) = authority();
    let strange = Authority::named("another").identity(&["server.test"]);
    friend_refuses(&options, &strange, &TlsError::UnknownIssuer, "UnknownCA");
}

/// A server that lets in only clients with a certificate refuses one that shows this.
#[track_caller]
fn server_refuses(shows: impl Fn(&Authority, ClientConfig) -> ClientConfig, rule: &TlsError, told: &str) {
    let (authority, options) = authority();
    let server = authority.identity(&["server.test"]);
    let identity = ServerConfig::for_clients_of(&server, [authority.root.clone()]).unwrap();
    let trust = authority.trust().identity(&authority.identity(&["friend.test"]));
    for kind in KINDS {
        let options = Options { trust: Some(trust.clone()), identity: Some(identity.clone()), ..options.clone() };
        let mut scene = Scene::with(kind, options);
        let port = scene.dial(&Wrap::Client(shows(&authority, authority.trust())));
        assert_eq!(scene.refusal().0, broken(rule.clone()), "{kind}");
        assert_eq!(scene.alert(port), Some(alert(told)), "{kind}");
        scene.over(0);
    }
}

#[test]
fn an_expired_certificate_of_a_client_is_refused_and_told_so() {
    let old = |authority: &Authority, trust: ClientConfig| {
        trust.identity(&authority.identity_between(&["friend.test"], 1990, 2000))
    };
    server_refuses(old, &TlsError::Expired, "CertificateExpired");
}

#[test]
fn a_client_without_a_certificate_is_refused_where_one_is_asked_for_and_told_so() {
    server_refuses(|_, trust| trust, &TlsError::NoCertificate, "CertificateRequired");
}

#[test]
fn no_common_version_is_noticed_by_a_server_and_told_to_the_client() {
    let (authority, options) = authority();
    let identity = authority.identity(&["server.test"]);
    for kind in KINDS {
        for (ours, theirs) in [(TlsVersion::Tls13, TlsVersion::Tls12), (TlsVersion::Tls12, TlsVersion::Tls13)] {
            let server = ServerConfig::with_versions(&identity, &[ours]).unwrap();
            let mut scene = Scene::with(kind, Options { identity: Some(server), ..options.clone() });
            let client = ClientConfig::with_versions([authority.root.clone()], &[theirs]).unwrap();
            let port = scene.dial(&Wrap::Client(client));
            assert_eq!(scene.refusal().0, broken(TlsError::NoCommonVersion), "{kind}");
            assert_eq!(scene.alert(port), Some(TlsError::NoCommonVersion), "{kind}");
            scene.over(0);
        }
    }
}

#[test]
fn no_common_version_is_told_to_a_client_by_a_server() {
    let (authority, options) = authority();
    let identity = authority.identity(&["server.test"]);
    for kind in KINDS {
        let trust = ClientConfig::with_versions([authority.root.clone()], &[TlsVersion::Tls13]).unwrap();
        let mut scene = Scene::with(kind, Options { trust: Some(trust), ..options.clone() });
        let old = ServerConfig::with_versions(&identity, &[TlsVersion::Tls12]).unwrap();
        scene.become_server(Wrap::Server(old));
        scene.friend_dials();
        assert_eq!(scene.refusal().0, broken(TlsError::NoCommonVersion), "{kind}");
        let port = scene.only_connection();
        assert_eq!(scene.raw_error(port), Some(TlsError::NoCommonVersion), "{kind}");
        scene.over(0);
    }
}

#[test]
fn a_client_that_does_not_trust_the_server_says_so_by_an_alert() {
    for kind in KINDS {
        let mut scene = Scene::with(kind, options());
        let port = scene.dial(&Wrap::Client(Authority::named("another").trust()));
        assert_eq!(scene.refusal().0, broken(alert("UnknownCA")), "{kind}");
        assert_eq!(scene.raw_error(port), Some(TlsError::UnknownIssuer), "{kind}");
        scene.cut_off(port);
        scene.over(0);
    }
}
