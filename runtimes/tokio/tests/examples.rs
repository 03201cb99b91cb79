//! The examples do what they say.

use std::process::Command;

#[test]
fn two_ends_talk_over_a_transport_of_their_own() {
    let here = std::env::current_exe().unwrap();
    let example = here.parent().unwrap().parent().unwrap().join("examples/custom_transport");
    let output = Command::new(&example).output();
    let output =
        output.unwrap_or_else(|error| panic!("{}: {error}; build it: cargo test --examples", example.display()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hello\n");
}

#[test]
fn the_example_of_a_transport_has_at_most_80_lines() {
    let lines = include_str!("../examples/custom_transport.rs").lines().count();
    assert!(lines <= 80, "{lines} lines");
}
