//! Evidence of worlds. The files stay in `evidence` of cargo's folder for tests, where `tests/interop/tshark` reads them.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use switchboard::machine::time::Instant;
use switchboard::sim::oracle::{Host, Turn, Verdict};
use switchboard::sim::{
    Cell, Class, Conditions, Delay, Gateway, INTERNET, Link, Loss, Matrix, NatKind, Picture, Recording, Timeline, World,
};

use crate::peer::{Pair, pair, pattern};
use crate::talker::{Talker, add, any, any_v6, place, say, talker};

const SECOND: Duration = Duration::from_secs(1);

fn file(name: &str) -> BufWriter<File> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("evidence");
    fs::create_dir_all(&folder).unwrap();
    BufWriter::new(File::create(folder.join(name)).unwrap())
}

/// Writes all kinds of evidence, and gives back the JSON.
fn write(timeline: &Timeline, name: &str, picture: &Picture) -> String {
    let mut json = Vec::new();
    timeline.write_json(&mut json).unwrap();
    file(&format!("{name}.jsonl")).write_all(&json).unwrap();
    timeline.write_pcapng(&mut file(&format!("{name}.pcapng"))).unwrap();
    timeline.write_svg(&mut file(&format!("{name}.svg")), picture).unwrap();
    String::from_utf8(json).unwrap()
}

/// A binding request or a success response (RFC 8489, sections 5 and 14.2).
fn stun(kind: u16, transaction: u8, mapped: Option<SocketAddr>) -> Vec<u8> {
    const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
    let mut attributes = Vec::new();
    if let Some(SocketAddr::V4(mapped)) = mapped {
        attributes.extend_from_slice(&[0x00, 0x20, 0, 8, 0, 1]);
        attributes.extend(mapped.port().to_be_bytes().iter().zip(COOKIE).map(|(byte, mask)| byte ^ mask));
        attributes.extend(mapped.ip().octets().iter().zip(COOKIE).map(|(byte, mask)| byte ^ mask));
    }
    let mut message = kind.to_be_bytes().to_vec();
    message.extend_from_slice(&(attributes.len() as u16).to_be_bytes());
    message.extend_from_slice(&COOKIE);
    message.extend_from_slice(&[transaction; 12]);
    message.append(&mut attributes);
    message
}

/// A phone behind a NAT asks a server for its address, over IPv6 too, and a stranger is kept out.
fn discovery(seed: u64) -> World<Talker> {
    const REQUEST: u16 = 0x0001;
    const SUCCESS: u16 = 0x0101;
    let mut world = World::new(seed);
    world.record(Recording::default());
    let (server, stranger) =
        (add(&mut world, INTERNET, "server", Talker::on(any(3478))), talker(&mut world, INTERNET, "stranger"));
    let server_v6 = add(&mut world, INTERNET, "server-v6", Talker::on(any_v6(3478)));
    let home = world.behind("home", "eim-apdf".parse::<NatKind>().unwrap());
    let phone = add(&mut world, home, "phone", Talker::on(any(5000)));
    let phone_v6 = add(&mut world, home, "phone-v6", Talker::on(any_v6(5000)));
    let to = SocketAddr::new(world.address(server), 3478);
    for transaction in 1..=3 {
        say(&mut world, phone, to, &stun(REQUEST, transaction, None));
        world.run_for(SECOND / 10).unwrap();
        let seen = world.machine(server).heard.last().unwrap().source;
        say(&mut world, server, seen, &stun(SUCCESS, transaction, Some(seen)));
        world.note(phone, &format!("asks for the {transaction}. time"), false);
        world.run_for(SECOND / 10).unwrap();
        say(&mut world, stranger, seen, &stun(REQUEST, 0x99, None));
    }
    let to = SocketAddr::new(world.address_v6(server_v6), 3478);
    say(&mut world, phone_v6, to, &stun(REQUEST, 4, None));
    world.note(phone, "direct path by 198.18.0.4:5000", true);
    world.run_for(SECOND / 10).unwrap();
    world
}

#[test]
fn a_world_with_a_nat_tells_of_every_packet_and_why_the_strangers_were_dropped() {
    let timeline = discovery(1).timeline();
    let json = write(&timeline, "stun", &Picture { title: "Discovery".into(), ..Picture::default() });
    let lines = |words: &str| json.lines().filter(|line| line.contains(words)).count();
    assert_eq!(lines(r#""node":"phone","kind":"sent""#), 3);
    assert_eq!(lines(r#""node":"phone","kind":"delivered""#), 3);
    assert_eq!(lines(r#""node":"home","kind":"forwarded""#), 7);
    assert_eq!(lines(r#""node":"home","kind":"dropped""#), 3);
    assert_eq!(lines(r#""reason":"filtered","why":"the NAT's filter""#), 3);
}

#[test]
fn equal_worlds_leave_equal_evidence() {
    let evidence = || {
        let (timeline, mut bytes) = (discovery(5).timeline(), Vec::new());
        timeline.write_json(&mut bytes).unwrap();
        timeline.write_pcapng(&mut bytes).unwrap();
        timeline.write_svg(&mut bytes, &Picture::default()).unwrap();
        bytes
    };
    assert!(evidence() == evidence());
}

#[test]
fn a_stream_over_a_link_that_loses_leaves_its_repetitions() {
    let Pair { mut world, a, b, here, .. } = pair(3);
    world.record(Recording::default());
    world.link(a, Link::symmetric(Conditions { loss: Loss::Independent(0.05), ..Conditions::default() }));
    world.act(a, |peer, _| peer.send(here, &pattern(60_000)));
    world.run_for(5 * SECOND).unwrap();
    assert_eq!(world.machine(b).received.values().map(Vec::len).sum::<usize>(), 60_000);
    let until = Some(Instant::ZERO + SECOND / 12);
    let json = write(&world.timeline(), "loss", &Picture { until, ..Picture::default() });
    assert!(json.contains(r#""why":"lost on the link""#));
}

#[test]
fn a_picture_shows_faults_changes_of_path_and_what_was_lost_meanwhile() {
    let mut world = World::new(1);
    world.record(Recording::default());
    let hub = add(&mut world, INTERNET, "hub", Talker::echo(any(5000)));
    let home = world.gateways(INTERNET, "home", "eim-apdf".parse().unwrap()).unwrap();
    let phone = talker(&mut world, home.inside(), "phone");
    let (to, tenth) = (place(&world, hub), SECOND / 10);
    world.link(phone, Link::symmetric(Conditions { delay: Delay::Constant(SECOND / 50), ..Conditions::default() }));
    world.act(phone, |talker, cx| talker.beat(cx.now, tenth, to));
    world.note(phone, "path 1: relayed by hub", true);
    world.run_for(10 * tenth).unwrap();
    world.unplug(phone);
    world.run_for(5 * tenth).unwrap();
    world.note(phone, "path 1 is suspect: nothing was heard for 400 ms, and 5 packets are not acknowledged", false);
    world.plug(phone);
    world.run_for(6 * tenth).unwrap();
    world.note(phone, "path 2: direct", true);
    world.reboot_gateway(home);
    world.run_for(5 * tenth).unwrap();
    let timeline = world.timeline();
    write(&timeline, "faults", &Picture { title: "Faults".into(), ..Picture::default() });
    let mut svg = Vec::new();
    timeline.write_svg(&mut svg, &Picture::default()).unwrap();
    let svg = String::from_utf8(svg).unwrap();
    assert_eq!(svg.matches(": the link is cut\n").count(), 6, "five beats, and the answer that was under way");
    assert!(svg.contains(">path 2: direct</text>"));
}

#[test]
fn a_cut_and_its_end_are_told_at_both_hosts_by_the_others_name() {
    let mut world = World::new(1);
    world.record(Recording::default());
    let (a, b) = (talker(&mut world, INTERNET, "phone"), talker(&mut world, INTERNET, "relay"));
    world.cut(a, b);
    world.heal(a, b);
    world.cut_one_way(b, a);
    let mut json = Vec::new();
    world.timeline().write_json(&mut json).unwrap();
    let json = String::from_utf8(json).unwrap();
    let faults: Vec<_> = json.lines().filter_map(|line| line.strip_prefix(r#"{"time":0,"node":"#)).collect();
    let expected = [
        r#""phone","kind":"fault","text":"cut towards relay"}"#,
        r#""relay","kind":"fault","text":"cut towards phone"}"#,
        r#""phone","kind":"fault","text":"healed towards relay"}"#,
        r#""relay","kind":"fault","text":"healed towards phone"}"#,
        r#""relay","kind":"fault","text":"cut towards phone"}"#,
    ];
    assert_eq!(faults, expected);
}

#[test]
fn a_long_run_has_a_picture_that_is_no_larger_than_a_short_ones() {
    let delay = Delay::Uniform(SECOND / 100, SECOND / 20);
    let conditions = Conditions { delay, loss: Loss::Independent(0.02), ..Conditions::default() };
    let mut sizes = Vec::new();
    for seconds in [600, 6_000] {
        let mut world = World::new(1);
        world.record(Recording { payloads: false, ..Recording::default() });
        let hub = add(&mut world, INTERNET, "hub", Talker::echo(any(5000)));
        for n in 0..8 {
            let home = world.behind(&format!("home-{n}"), NatKind::ALL[1 + n]);
            let guest = talker(&mut world, home, &format!("guest-{n}"));
            world.link(guest, Link::symmetric(conditions));
            let to = place(&world, hub);
            world.act(guest, |talker, cx| talker.beat(cx.now, SECOND / (n as u32 + 1), to));
            world.note(guest, "relayed by hub", true);
        }
        for n in 0..10 {
            world.run_for(seconds * SECOND / 10).unwrap();
            world.note(hub, &format!("ten per cent, for the {n}. time"), n % 3 == 0);
        }
        let mut svg = Vec::new();
        world.timeline().write_svg(&mut svg, &Picture::default()).unwrap();
        file("long.svg").write_all(&svg).unwrap();
        sizes.push(svg.len());
    }
    assert!(sizes[1] < sizes[0] * 3 / 2 && sizes[1] < 1_000_000, "{sizes:?}");
}

#[test]
fn the_oracles_verdicts_make_a_table() {
    let host = |kind: NatKind, turn| Host {
        v4: Some(kind.gateways().into_iter().map(Gateway::v4).collect()),
        stun: true,
        turn,
        ..Host::default()
    };
    let cell = |a, b| match Verdict::of(&host(a, Turn::ALL), &host(b, Turn::ALL), 0) {
        Verdict::Direct => Cell { class: Class::Good, text: "direct".into(), more: format!("{a} and {b}") },
        Verdict::Relayed => Cell { class: Class::Fair, text: "relayed".into(), more: format!("{a} and {b}") },
        Verdict::Impossible => Cell { class: Class::Bad, text: "impossible".into(), more: format!("{a} and {b}") },
    };
    let names: Vec<_> = NatKind::ALL.iter().map(ToString::to_string).collect();
    let legend = [(Class::Good, "direct"), (Class::Fair, "relayed"), (Class::Bad, "impossible")];
    let matrix = Matrix {
        title: "Who reaches whom".into(),
        axes: ["one host".into(), "the other host".into()],
        rows: names.clone(),
        columns: names,
        cells: NatKind::ALL.iter().map(|a| NatKind::ALL.iter().map(|b| cell(*a, *b)).collect()).collect(),
        legend: legend.map(|(class, words)| (class, words.to_owned())).to_vec(),
    };
    let mut svg = Vec::new();
    matrix.write_svg(&mut svg).unwrap();
    file("matrix.svg").write_all(&svg).unwrap();
    let svg = String::from_utf8(svg).unwrap();
    assert_eq!(svg.matches("<title>eim-apdf and apdm-apdf</title>").count(), 1);
    assert_eq!(svg.matches(">direct<").count() + svg.matches(">relayed<").count(), 13 * 13 + 2);
}
