//! Single situations, each told as a story.

use std::time::Duration;

use switchboard::hub::channel::{Channel, ChannelId};
use switchboard::machine::limits::Limits;

use super::net::{DIRECT, Net, Quality, RELAYED};

const CHAT: ChannelId = ChannelId(1);

fn chat() -> Vec<Channel> {
    vec![Channel::reliable("chat")]
}

#[test]
fn a_message_arrives_after_one_delay() {
    let mut net = Net::new(1, &Limits::default(), &chat());
    net.first_path(RELAYED, Quality::clean(30));
    let sent = net.now;
    assert!(net.send(0, CHAT, b"hello"));
    net.run_for(Duration::from_secs(1));
    let (at, channel, message) = net.received[1][0].clone();
    assert_eq!((at - sent, channel, &message[..]), (Duration::from_millis(30), CHAT, &b"hello"[..]));
    assert_eq!(net.received[1].len(), 1);
}

#[test]
fn a_direct_path_is_used_once_it_answers() {
    let mut net = Net::new(1, &Limits::default(), &chat());
    net.first_path(RELAYED, Quality::clean(30));
    net.run_for(Duration::from_secs(1));
    net.open_path(0, DIRECT, Quality::clean(5));
    net.run_for(Duration::from_secs(1));
    assert_eq!(net.ends.each_ref().map(|end| end.path().unwrap().to_string()), ["direct 10 ms", "direct 10 ms"]);
}
