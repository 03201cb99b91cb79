//! Ours, by mio and by tokio.

use std::ops::ControlFlow;
use std::time::Duration;

use switchboard::connect::{AnyTransport, Options, Registry};
use switchboard::link::tls::{Identity, ServerConfig};
use switchboard::machine::limits::Limits;
use switchboard::transport::TransportEvent;

use super::{obey, runtime, say};
use crate::dials::Dials;
use crate::forwarder::Forwarder;
use crate::websocket;

/// Keep-alive is on, as it is by default, but not due while idle links are counted.
const PING_AFTER: Duration = Duration::from_secs(3600);

pub fn forward_by_mio(scheme: &str) {
    let (transport, certificate) = listening(scheme);
    let mut driver = switchboard_mio::Driver::new(Forwarder::new(transport)).expect("a driver starts");
    let ended: ControlFlow<()> = ControlFlow::Continue(());
    let run = driver.run(|_, event| {
        on_event(&event, &certificate);
        ended
    });
    run.expect("a driver runs");
}

pub fn forward_by_tokio(scheme: &str) {
    let (transport, certificate) = listening(scheme);
    runtime().block_on(async {
        let forwarder = switchboard_tokio::spawn(Forwarder::new(transport));
        while let Some(event) = forwarder.next().await {
            on_event(&event, &certificate);
        }
    });
}

pub fn dial_by_mio(url: &str) {
    let machine = Dials::new(url, websocket::payload(64));
    let mut driver = switchboard_mio::Driver::new(machine).expect("a driver starts");
    obey(|connections| {
        driver.act(|dials, cx| dials.start(cx, connections));
        driver.run(|_, _| ControlFlow::Break(())).expect("a driver runs");
    });
}

pub fn dial_by_tokio(url: &str) {
    let runtime = runtime();
    let machine = Dials::new(url, websocket::payload(64));
    let handle = runtime.block_on(async { switchboard_tokio::spawn(machine) });
    obey(|connections| {
        handle.act(|dials, cx| dials.start(cx, connections));
        runtime.block_on(handle.next()).expect("the driver runs");
    });
}

/// A listener on a free port, and its certificate in hexadecimal digits, if it has one.
fn listening(scheme: &str) -> (AnyTransport, String) {
    let limits = Limits { ping_after: Some(PING_AFTER), ..Limits::default() };
    let mut options = Options { limits, ..Options::default() };
    let mut certificate = String::new();
    if scheme == "wss" {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate is made");
        let der = made.cert.der().to_vec();
        certificate = der.iter().map(|byte| format!("{byte:02x}")).collect();
        let identity = Identity::from_der(vec![der], made.signing_key.serialize_der()).expect("they belong together");
        options.identity = Some(ServerConfig::new(&identity).expect("the identity is usable"));
    }
    let transport = Registry::new().listen(&format!("{scheme}://127.0.0.1:0"), &options);
    (transport.expect("the string can be listened to"), certificate)
}

fn on_event(event: &TransportEvent, certificate: &str) {
    match event {
        TransportEvent::Listening(address) => say(&format!("{address} {certificate}")),
        TransportEvent::Refused(_, reason) | TransportEvent::Failed(reason) => panic!("refused: {reason}"),
        _ => {}
    }
}
