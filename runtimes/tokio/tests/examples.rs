//! The examples do what they say.

#[allow(dead_code, unreachable_pub, reason = "its main is not called")]
#[path = "../examples/custom_transport.rs"]
mod custom_transport;

use std::time::Duration;

/// The most lines that the example may have: it shows how little a transport is.
const LINES: usize = 135;

#[tokio::test]
async fn two_programs_talk_over_a_transport_of_their_own() {
    let talk = tokio::time::timeout(Duration::from_secs(30), custom_transport::converse());
    let [client, server] = talk.await.expect("an end").expect("a transport");
    assert_eq!(client, ["fine", "bye", "closed here"]);
    assert_eq!(server, ["hello", "how are you?", "closed by the peer"]);
}

#[test]
fn the_example_is_short() {
    let lines = include_str!("../examples/custom_transport.rs").lines().count();
    assert!(lines <= LINES, "{lines} lines");
}
