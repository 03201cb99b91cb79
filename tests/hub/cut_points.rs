//! A path may end at any packet: every one, data or acknowledgement, is where it ends in one run.
//!
//! 512 KiB go both ways on a channel of each kind, through a [relay](wire) that drops one packet of a hundred,
//! repeats another and lets some overtake others. A first run counts the packets; then there is one run for each of
//! them, in which the path dies with it and with all that is under way. Half of the runs have another path, the
//! others get one a moment later, opened by either side. Most of it runs sessions without hubs, which is the same
//! engine and many times as fast; [`through_hubs`] does the same with all of a hub around it.
//!
//! A run takes all points of the sessions without hubs, and some of those through hubs; `SWITCHBOARD_CAMPAIGN=full`
//! takes all of these, too.

mod shaky;
mod through_hubs;
mod wire;

use std::time::Duration;

use switchboard::hub::channel::{Channel, Reliability};

use wire::{Cut, Wire};

/// What each side sends, in bytes.
const VOLUME: usize = 512 * 1024;
/// How many points a run must take.
const LEAST: usize = 1_500;

fn kinds() -> Vec<Channel> {
    let time = Reliability::MaxLifetime(Duration::from_millis(300));
    let kinds = [Reliability::Reliable, Reliability::MaxRetransmits(1), time];
    let both = kinds.into_iter().flat_map(|reliability| {
        let ordered = Channel::reliable("ordered").with(reliability);
        [ordered.clone(), Channel { label: "unordered".into(), ..ordered.unordered() }]
    });
    both.collect()
}

/// The sizes of what is sent on a channel, by turns.
const fn sizes(channel: &Channel) -> &'static [usize] {
    match channel.reliability {
        Reliability::Reliable => &[64, 1_000, 20_000, 300, 4_000],
        _ => &[900, 64, 700, 2_500, 300],
    }
}

struct Named<'a>(&'a Channel, u64, Option<Cut>);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("that was {:?}, seed {}, {:?}", self.0, self.1, self.2);
        }
    }
}

fn run(channel: &Channel, seed: u64, cut: Option<Cut>) -> Wire {
    let _named = Named(channel, seed, cut);
    let mut wire = Wire::new(channel, seed, cut);
    wire.run();
    wire
}

#[test]
fn a_path_may_end_at_any_packet() {
    let mut points = 0;
    for (seed, channel) in kinds().iter().enumerate() {
        let seed = seed as u64;
        let packets = run(channel, seed, None).packets();
        let mut arrived = 0.0;
        for packet in 0..packets {
            arrived += run(channel, seed, Some(Cut::new(packet))).share();
        }
        let share = 100.0 * arrived / packets as f64;
        println!("{:?} {}: {packets} points, {share:.1} % arrived", channel.reliability, channel.label);
        assert!(share > 98.0, "of {channel:?} only {share:.1} % arrived");
        points += packets;
    }
    println!("{points} points");
    assert!(points >= LEAST, "{points} points");
}
