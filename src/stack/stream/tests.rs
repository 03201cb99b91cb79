use std::time::Duration;

use super::*;
use crate::machine::ids::Ids;
use crate::machine::rng::Rng;
use crate::machine::time::Instant;

#[test]
fn a_client_of_a_proxy_has_nothing_to_write_until_the_proxy_has_answered() {
    let key = rcgen::KeyPair::generate().unwrap();
    let root = rcgen::CertificateParams::default().self_signed(&key).unwrap().der().to_vec();
    let recipe = DialRecipe {
        proxy: Some(Proxy { target: "board.example:443".to_owned(), credentials: None }),
        tls: Some((tls::ClientConfig::new([root]).unwrap(), "board.example".to_owned())),
        websocket: None,
    };
    let (mut rng, mut ids) = (Rng::from_u64(0), Ids::new());
    let mut cx = Cx { now: Instant::ZERO, unix: Duration::ZERO, rng: &mut rng, ids: &mut ids };
    let (mut tools, mut buf) = (Tools::default(), Buf::new(1000));
    let mut stream = Stream::dialled(&mut cx, &recipe, &Limits::default()).unwrap();
    assert!(stream.wants_fill());
    assert_eq!(stream.fill(&mut cx, &mut tools, &mut buf, &mut |_| false), Ok(Fill::Done));
    assert!(buf.as_slice().starts_with(b"CONNECT ") && !stream.wants_fill());
    let mut answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    assert_eq!(stream.receive(&mut cx, &mut tools, &mut answer, &mut |_, _| Flow::Go), Ok(Flow::Go));
    assert!(stream.wants_fill());
}
