//! Keys and lists of relays.

use std::fs;

use crate::child::{Program, new_directory, new_key, run};

#[test]
fn a_key_is_made_on_first_use_and_is_the_same_from_then_on() {
    let key = new_key();
    let id = run(&["id", "--key", &key], b"");
    assert_eq!(id.code, Some(0), "{}", id.stderr);
    assert_eq!(id.stdout.len(), 53, "an id has 52 characters");
    assert_eq!(run(&["id", "--key", &key], b"").stdout, id.stdout);
    assert_ne!(run(&["id", "--key", &new_key()], b"").stdout, id.stdout);
}

#[test]
fn the_key_among_the_settings_is_used_when_none_is_named() {
    let directory = new_directory("settings-key");
    let key = directory.join("switchboard/key");
    let config = [("XDG_CONFIG_HOME", directory.to_str().unwrap())];
    let id = Program::start_in(&config, &["id"]).ended();
    assert_eq!(id.stdout, run(&["id", "--key", key.to_str().unwrap()], b"").stdout, "{}", id.stderr);
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_exits_with_2_and_says_what_to_do() {
    use std::os::unix::fs::PermissionsExt as _;
    let key = new_key();
    run(&["id", "--key", &key], b"");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let ended = run(&["id", "--key", &key], b"");
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains(&format!("chmod 600 {key}")), "{}", ended.stderr);
}

#[test]
fn no_relay_exits_with_2_and_says_how_to_start_one() {
    let directory = new_directory("settings-none");
    let config = [("XDG_CONFIG_HOME", directory.to_str().unwrap())];
    let ended = Program::start_in(&config, &["receive"]).ended();
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("switchboard relay") && ended.stderr.contains("--relay"), "{}", ended.stderr);
}

#[test]
fn relays_are_taken_from_the_variable_and_from_the_file() {
    let (_relay, string) = Program::relay(&["--listen", "tcp:127.0.0.1:0"]);
    let directory = new_directory("settings-relays");
    let config = ("XDG_CONFIG_HOME", directory.to_str().unwrap());
    let mut by_variable = Program::start_in(&[config, ("SWITCHBOARD_RELAYS", &string)], &["receive"]);
    by_variable.line_after("waiting as ");
    fs::write(directory.join("switchboard/relays"), format!("# ours\n{string}\n")).unwrap();
    let mut by_file = Program::start_in(&[config], &["receive", "--key", &new_key()]);
    by_file.line_after("waiting as ");
}
