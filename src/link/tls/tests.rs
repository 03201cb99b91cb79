mod harness;

use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};

use harness::{End, Pair, World, in_small_pieces};

use super::*;
use crate::machine::rng::Rng;

const NOW: Duration = Duration::from_secs(1_800_000_000);
const BOTH: [TlsVersion; 2] = [TlsVersion::Tls12, TlsVersion::Tls13];

#[test]
fn both_versions_carry_data_both_ways_whatever_the_split() {
    let world = World::new();
    for (seed, version) in (0..24).zip(BOTH.into_iter().cycle()) {
        let mut pair = Pair::new(&world.client(version), &world.server(version));
        pair.rng = Rng::from_u64(seed);
        pair.most = if seed < 2 { 1 } else { 40_000 };
        pair.run().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(pair.client.tls.info().version, Some(version), "seed {seed}");
        for size in [0, 1, 100, 16_384, 16_385, 70_000] {
            let sent: Vec<u8> = (0..size).map(|at| (at * 7 + size) as u8).collect();
            pair.client.send(&sent);
            pair.server.send(&sent);
            pair.run().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            assert!(pair.server.take() == sent && pair.client.take() == sent, "seed {seed}, {size} bytes");
        }
    }
}

#[test]
fn a_megabyte_arrives_in_records_of_at_most_16_kib() {
    for version in BOTH {
        let mut pair = World::new().pair(version);
        let sent = vec![7; 1 << 20];
        pair.client.send(&sent);
        pair.run().unwrap();
        assert!(pair.server.largest <= RECORD);
        assert_eq!(pair.server.take(), sent);
    }
}

#[test]
fn an_idle_connection_holds_no_bytes() {
    let mut pair = World::new().pair(TlsVersion::Tls13);
    pair.most = 50;
    pair.client.send(&[1; 5000]);
    pair.run().unwrap();
    for end in [&pair.client.tls, &pair.server.tls] {
        assert_eq!((end.held.capacity(), end.owed.capacity()), (0, 0));
    }
}

#[test]
fn an_announced_record_is_not_reserved() {
    let mut pair = World::new().pair(TlsVersion::Tls13);
    pair.server.receive(&mut [23, 3, 3, 0x40, 0]).unwrap();
    assert!(pair.server.tls.held.capacity() < 64);
}

#[test]
fn a_second_connection_resumes_the_first() {
    let world = World::new();
    for version in BOTH {
        let (client, server) = (world.client(version), world.server(version));
        let mut first = Pair::new(&client, &server);
        first.run().unwrap();
        assert!(!first.client.tls.info().resumed);
        let mut second = Pair::new(&client, &server);
        second.run().unwrap();
        assert!(second.client.tls.info().resumed && second.server.tls.info().resumed, "{version:?}");
        assert_eq!(second.server.tls.info().server_name.as_deref(), Some("board.example"));
        assert_eq!(second.client.tls.peer_certificate(), Some(world.identity.certificate()));
    }
}

#[test]
fn both_sides_see_the_same_end_point_in_each_version_and_in_resumed_sessions() {
    let (world, other) = (World::new(), World::new());
    for version in BOTH {
        let (client, server) = (world.client(version), world.server(version));
        for resumed in [false, true] {
            let mut pair = Pair::new(&client, &server);
            let [early, late] = [&pair.client, &pair.server].map(|end| end.tls.info().server_end_point);
            assert_eq!((early, late), (None, None));
            pair.run().unwrap();
            let [ours, theirs] = [&pair.client, &pair.server].map(|end| end.tls.info());
            assert_eq!(ours.server_end_point, Some(Sha256::digest(world.identity.certificate()).into()));
            assert_eq!((ours.server_end_point, ours.resumed), (theirs.server_end_point, resumed));
        }
        let another = other.pair(version).client.tls.info().server_end_point;
        assert_ne!(another, world.pair(version).client.tls.info().server_end_point);
    }
}

#[test]
fn both_sides_agree_on_the_first_protocol_that_the_server_prefers() {
    let world = World::new();
    let client = world.client(TlsVersion::Tls13).alpn(vec![b"b".to_vec(), b"a".to_vec()]);
    let server = world.server(TlsVersion::Tls13).alpn(vec![b"a".to_vec(), b"b".to_vec()]);
    let mut pair = Pair::new(&client, &server);
    pair.run().unwrap();
    assert_eq!(pair.client.tls.info().alpn.as_deref(), Some(&b"a"[..]));
    assert_eq!(pair.server.tls.info().alpn.as_deref(), Some(&b"a"[..]));
}

#[test]
fn without_alpn_on_one_side_none_is_agreed() {
    let world = World::new();
    let server = world.server(TlsVersion::Tls13).alpn(vec![b"a".to_vec()]);
    let mut pair = Pair::new(&world.client(TlsVersion::Tls13), &server);
    pair.run().unwrap();
    assert_eq!(pair.client.tls.info().alpn, None);
}

#[test]
fn no_protocol_in_common_ends_both_sides_with_that_reason() {
    let world = World::new();
    let client = world.client(TlsVersion::Tls13).alpn(vec![b"b".to_vec()]);
    let server = world.server(TlsVersion::Tls13).alpn(vec![b"a".to_vec()]);
    let mut pair = Pair::new(&client, &server);
    assert_eq!(pair.run(), Err(TlsError::NoCommonAlpn));
    assert_eq!(pair.errors(), [Some(TlsError::NoCommonAlpn), Some(TlsError::NoCommonAlpn)]);
}

#[test]
fn the_server_sees_the_name_that_was_asked_for_but_no_address() {
    let world = World::new();
    let pair = world.pair(TlsVersion::Tls12);
    assert_eq!(pair.server.tls.info().server_name.as_deref(), Some("board.example"));
    for address in ["192.0.2.1", "2001:db8::1"] {
        let mut pair = Pair::to(&world.client(TlsVersion::Tls13), &world.server(TlsVersion::Tls13), address);
        pair.run().unwrap();
        assert_eq!(pair.server.tls.info().server_name, None);
    }
}

#[test]
fn a_certificate_for_another_name_is_refused_and_both_names_are_told() {
    let world = World::new();
    let mut pair = Pair::to(&world.client(TlsVersion::Tls13), &world.server(TlsVersion::Tls13), "other.example");
    let error = pair.run().unwrap_err();
    let TlsError::WrongName { expected, presented } = &error else { panic!("{error:?}") };
    assert_eq!(expected, "other.example");
    assert!(presented.iter().any(|name| name == "board.example"), "{presented:?}");
    assert_eq!(pair.errors()[1], Some(TlsError::PeerAlert("BadCertificate".to_owned())));
}

#[test]
fn an_expired_certificate_is_refused_by_the_time_that_the_caller_tells() {
    let mut pair = World::new().fresh(TlsVersion::Tls13);
    pair.client.unix = Duration::from_secs(3_000_000_000);
    assert_eq!(pair.run(), Err(TlsError::Expired));
    assert_eq!(pair.errors()[1], Some(TlsError::PeerAlert("CertificateExpired".to_owned())));
}

#[test]
fn a_certificate_of_the_future_is_refused() {
    let mut pair = World::new().fresh(TlsVersion::Tls12);
    pair.client.unix = Duration::from_secs(1_000_000_000);
    assert_eq!(pair.run(), Err(TlsError::NotYetValid));
}

#[test]
fn a_certificate_of_an_unknown_issuer_is_refused() {
    let (world, other) = (World::new(), World::named("another authority"));
    let mut pair = Pair::new(&other.client(TlsVersion::Tls13), &world.server(TlsVersion::Tls13));
    assert_eq!(pair.run(), Err(TlsError::UnknownIssuer));
    assert_eq!(pair.errors()[1], Some(TlsError::PeerAlert("UnknownCA".to_owned())));
}

#[test]
fn no_version_in_common_ends_both_sides_with_that_reason() {
    let world = World::new();
    for (one, other) in [(0, 1), (1, 0)] {
        let mut pair = Pair::new(&world.client(BOTH[one]), &world.server(BOTH[other]));
        assert_eq!(pair.run(), Err(TlsError::NoCommonVersion));
        assert_eq!(pair.errors(), [Some(TlsError::NoCommonVersion), Some(TlsError::NoCommonVersion)]);
    }
}

#[test]
fn a_client_with_a_certificate_passes_where_one_is_asked_for_and_others_do_not() {
    let world = World::new();
    let server = ServerConfig::for_clients_of(&world.identity, [world.root.clone()]).unwrap();
    for version in BOTH {
        let mut with = Pair::new(&world.client(version).identity(&world.identity), &server);
        with.run().unwrap();
        assert_eq!(with.server.tls.peer_certificate(), Some(world.identity.certificate()));
        let mut without = Pair::new(&world.client(version), &server);
        assert_eq!(without.run(), Err(TlsError::NoCertificate));
        assert!(matches!(without.errors()[0], Some(TlsError::PeerAlert(_))));
    }
}

#[test]
fn bytes_that_are_not_tls_are_told_apart_and_answered_by_an_alert() {
    let world = World::new();
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 64], &[0xff; 8], b"SSH-2.0-x\r\n"] {
        for size in [1, garbage.len()] {
            let mut end = End::new(Tls::server(&world.server(TlsVersion::Tls13)).unwrap());
            let error = garbage.chunks(size).find_map(|part| end.receive(&mut part.to_vec()).err());
            assert_eq!(error, Some(TlsError::NotTls));
            assert_eq!(end.output()[0], 21);
            assert_eq!(end.receive(&mut [1]), Err(TlsError::NotTls));
        }
    }
}

#[test]
fn garbage_after_a_record_of_tls_has_the_same_name_however_it_is_cut() {
    let world = World::new();
    let wire = [&[21, 3, 3, 0, 2, 1, 90][..], b"garbage"].concat();
    let errors = [1, 7, wire.len()].map(|size| {
        let mut end = End::new(Tls::server(&world.server(TlsVersion::Tls13)).unwrap());
        wire.chunks(size).find_map(|part| end.receive(&mut part.to_vec()).err())
    });
    assert!(matches!(&errors[0], Some(TlsError::Protocol(_))), "{:?}", errors[0]);
    assert!(errors.iter().all(|error| *error == errors[0]), "{errors:?}");
}

#[test]
fn random_bytes_never_panic() {
    let world = World::new();
    for seed in 0..2000 {
        let mut rng = Rng::from_u64(seed);
        let mut pair =
            if seed % 16 == 0 { world.pair(TlsVersion::Tls13) } else { world.fresh(BOTH[seed as usize % 2]) };
        let mut wire = pair.client.output();
        wire.extend(rng.array::<40>());
        for _ in 0..rng.below(4) {
            let at = rng.below(wire.len() as u64) as usize;
            wire[at] ^= rng.u32() as u8;
        }
        for part in wire.chunks_mut(1 + rng.below(200) as usize) {
            let _ = pair.server.receive(part);
            pair.server.send(b"payload in between");
            pair.server.output();
        }
    }
}

#[test]
fn a_changed_byte_in_a_record_is_found() {
    let mut pair = World::new().pair(TlsVersion::Tls13);
    pair.client.send(b"hello");
    let mut wire = pair.client.output();
    *wire.last_mut().unwrap() ^= 1;
    assert_eq!(pair.server.receive(&mut wire), Err(TlsError::Decrypt));
    assert!(!pair.server.tls.can_send());
    assert_eq!(pair.client.receive(&mut pair.server.output()), Err(TlsError::PeerAlert("BadRecordMac".to_owned())));
}

#[test]
fn a_close_is_told_apart_from_a_truncation_and_what_follows_it_is_ignored() {
    for version in BOTH {
        let mut pair = World::new().pair(version);
        pair.client.send(b"last");
        pair.run().unwrap();
        assert!(!pair.server.tls.peer_closed());
        pair.client.tls.close();
        assert!(!pair.client.tls.can_send() && pair.client.tls.wants_fill());
        pair.run().unwrap();
        assert!(pair.server.tls.peer_closed() && !pair.client.tls.wants_fill());
        pair.server.receive(&mut [1, 2, 3]).unwrap();
        assert_eq!(pair.server.tls.held.len(), 0);
        assert_eq!(pair.server.take(), b"last");
    }
}

#[test]
fn what_comes_after_our_goodbye_is_not_looked_at_be_it_broken() {
    for version in BOTH {
        let mut pair = World::new().pair(version);
        pair.client.tls.close();
        pair.run().unwrap();
        assert!(pair.client.tls.has_closed());
        pair.server.send(b"too late");
        pair.run().unwrap();
        let mut broken = *b"\x17\x03\x03\x00\x20a record that nobody can decrypt!";
        pair.client.receive(&mut broken).unwrap();
        assert_eq!((pair.client.take(), pair.client.tls.held.len()), (Vec::new(), 0));
    }
}

#[test]
fn a_close_before_the_handshakes_end_waits_for_it() {
    let mut pair = World::new().fresh(TlsVersion::Tls13);
    pair.server.tls.close();
    assert!(!pair.server.tls.wants_fill());
    pair.run().unwrap();
    assert!(pair.client.tls.peer_closed());
}

#[test]
fn nothing_can_be_encrypted_before_the_handshake_or_after_the_close() {
    let world = World::new();
    let mut buf = Buf::new(1000);
    let mut early = Tls::server(&world.server(TlsVersion::Tls13)).unwrap();
    assert_eq!(early.encrypt(b"x", &mut buf), Err(TlsError::CannotSend));
    let mut pair = world.pair(TlsVersion::Tls13);
    pair.client.tls.close();
    assert_eq!(pair.client.tls.encrypt(b"x", &mut buf), Err(TlsError::CannotSend));
    assert!(buf.is_empty());
}

#[test]
fn a_receiver_that_stops_gets_the_rest_later_record_by_record() {
    for version in BOTH {
        let mut pair = World::new().pair(version);
        for part in [&b"one "[..], b"two ", b"three"] {
            pair.client.send(part);
        }
        let mut wire = pair.client.output();
        let (first, second) = wire.split_at_mut(40);
        pair.server.flow = Flow::Stop;
        assert_eq!(pair.server.receive(first), Ok(Flow::Stop));
        assert_eq!(pair.server.take(), b"one ");
        pair.server.send(b"while stopped");
        assert_eq!(pair.server.receive(second), Ok(Flow::Stop));
        assert_eq!(pair.server.take(), b"two ");
        assert_eq!(pair.server.receive(&mut []), Ok(Flow::Stop));
        assert_eq!(pair.server.receive(&mut []), Ok(Flow::Go));
        assert_eq!(pair.server.take(), b"three");
        assert_eq!(pair.server.tls.held.capacity(), 0);
        pair.run().unwrap();
        assert_eq!(pair.client.take(), b"while stopped");
    }
}

#[test]
fn splits_and_stops_change_nothing_of_what_arrives() {
    let world = World::new();
    for seed in 0..200 {
        let mut rng = Rng::from_u64(seed);
        let mut pair = world.pair(BOTH[seed as usize % 2]);
        let sent: Vec<u8> = (0..rng.below(3000)).map(|_| rng.u32() as u8).collect();
        for part in sent.chunks(1 + rng.below(300) as usize) {
            pair.client.send(part);
        }
        let mut wire = pair.client.output();
        let mut rest = &mut wire[..];
        while !rest.is_empty() {
            let (part, after) = rest.split_at_mut(1 + rng.below(rest.len() as u64) as usize);
            pair.server.flow = if rng.chance(0.5) { Flow::Stop } else { Flow::Go };
            pair.server.receive(part).unwrap();
            rest = after;
        }
        while pair.server.receive(&mut []).unwrap() == Flow::Stop {}
        assert_eq!(pair.server.take(), sent, "seed {seed}");
    }
}

#[test]
fn data_flows_across_key_updates_in_both_directions() {
    let mut pair = World::new().pair(TlsVersion::Tls13);
    for round in 0..20_u8 {
        pair.client.refresh_keys();
        pair.client.send(&[round; 100]);
        pair.server.send(&[round; 50]);
        pair.run().unwrap();
        assert_eq!(pair.server.take(), [round; 100]);
        assert_eq!(pair.client.take(), [round; 50]);
    }
}

#[test]
fn payload_can_be_sent_while_a_handshake_message_is_half_received() {
    let world = World::new();
    let mut pair = Pair::new(&world.client(TlsVersion::Tls13), &in_small_pieces(world.server(TlsVersion::Tls13)));
    while pair.server.tls.is_handshaking() {
        pair.server.receive(&mut pair.client.output()).unwrap();
        if pair.server.tls.is_handshaking() {
            pair.client.receive(&mut pair.server.output()).unwrap();
        }
    }
    let mut tickets = pair.server.output();
    let (first, rest) = tickets.split_at_mut(60);
    pair.client.receive(first).unwrap();
    assert!(pair.client.tls.held.whole() > 0);
    pair.client.send(b"meanwhile");
    pair.client.receive(rest).unwrap();
    assert_eq!(pair.client.tls.held.capacity(), 0);
    pair.run().unwrap();
    assert_eq!(pair.server.take(), b"meanwhile");
}

#[test]
fn handshake_messages_in_small_pieces_are_put_together_whatever_the_split() {
    let world = World::new();
    for seed in 0..20 {
        let version = BOTH[seed as usize % 2];
        let mut pair = Pair::new(&world.client(version), &in_small_pieces(world.server(version)));
        (pair.rng, pair.most) = (Rng::from_u64(seed), if seed < 2 { 1 } else { 300 });
        pair.run().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        pair.server.send(&[1; 500]);
        pair.run().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(pair.client.take(), [1; 500], "seed {seed}");
    }
}

#[test]
fn a_server_name_that_is_no_name_is_refused() {
    let config = World::new().client(TlsVersion::Tls13);
    let error = Tls::client(&config, "not a name", NOW).unwrap_err();
    assert_eq!(error, TlsError::InvalidServerName { name: "not a name".to_owned() });
}

#[test]
fn identities_come_from_pem_or_der_and_are_checked() {
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let certificate = CertificateParams::new(vec!["a".to_owned()]).unwrap().self_signed(&key).unwrap();
    let chain = certificate.pem() + &certificate.pem();
    let identity = Identity::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    assert_eq!(identity.certificate(), &certificate.der()[..]);
    let der = || vec![certificate.der().to_vec()];
    Identity::from_der(der(), key.serialize_der()).unwrap();
    assert_eq!(Identity::from_der(der(), other.serialize_der()).unwrap_err(), ConfigError::KeyMismatch);
    assert_eq!(Identity::from_der(vec![], key.serialize_der()).unwrap_err(), ConfigError::NoCertificate);
    assert!(matches!(Identity::from_der(der(), vec![1, 2]), Err(ConfigError::BadKey(_))));
    assert!(matches!(Identity::from_pem(b"", b""), Err(ConfigError::BadKey(_))));
    assert!(matches!(Identity::from_der(vec![vec![1]], key.serialize_der()), Err(ConfigError::BadCertificate(_))));
}

#[test]
fn a_client_without_roots_or_versions_cannot_be_made() {
    let world = World::new();
    assert_eq!(ClientConfig::new([vec![1, 2, 3]]).unwrap_err(), ConfigError::NoRoots);
    assert_eq!(ClientConfig::with_versions([world.root], &[]).unwrap_err(), ConfigError::NoVersion);
}
