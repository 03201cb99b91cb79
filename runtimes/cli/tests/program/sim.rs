//! `switchboard sim`.

use serde_json::Value;

use crate::child::{Ended, new_file, run};

const SCENARIO: &str = "\
switchboard scenario 1
seed 5
gateway home nat apdm-apdf
host relay role relay port 7433
host ada role endpoint in home
host bob role endpoint
link ada weak-4g
at 3s reboot relay
at 5s unplug ada
heal 10s
converge 1min
";

/// Two endpoints behind firewalls that let them reach no relay.
const HOPELESS: &str = "\
switchboard scenario 1
seed 5
gateway home nat tcp-443
host relay role relay port 7433
host ada role endpoint in home
host bob role endpoint
host eve role endpoint
link ada weak-4g
at 3s reboot relay
heal 10s
converge 10s
";

fn file(name: &str, text: &str) -> String {
    let file = new_file(name);
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

fn objects(ended: &Ended) -> Vec<Value> {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let text = String::from_utf8(ended.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_run_is_one_object_and_the_same_seed_gives_the_same_hash_in_another_process() {
    let once = objects(&run(&["sim", "run", "--profile", "weak-4g", "--seed", "7", "--runs", "3", "--json"], b""));
    let again = objects(&run(&["sim", "run", "--profile", "weak-4g", "--seed", "8", "--json"], b""));
    assert_eq!(once.iter().map(|object| object["seed"].as_u64().unwrap()).collect::<Vec<_>>(), [7, 8, 9]);
    assert_eq!(once[1], again[0]);
    assert_eq!(once[1]["transcript_hash"].as_str().unwrap().len(), 16);
    assert_ne!(once[0]["transcript_hash"], once[1]["transcript_hash"]);
    assert!(once.iter().all(|object| object["sent"] == object["arrived"] && object["verdict"] == "kept"));
}

#[test]
fn a_run_for_people_ends_with_a_table_and_a_sentence() {
    let ended = run(&["sim", "run", "--profile", "good-wifi", "--runs", "2"], b"");
    let text = String::from_utf8(ended.stdout).unwrap();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{text}");
    assert!(text.starts_with("seed  verdict  messages"), "{text}");
    assert!(text.contains("2 of 2 runs kept every promise"), "{text}");
}

#[test]
fn a_file_is_played_and_shown_until_a_time() {
    let file = file("played.scenario", SCENARIO);
    let run_object = objects(&run(&["sim", "run", &file, "--json"], b""));
    let replayed = objects(&run(&["sim", "replay", &file, "--json"], b""));
    assert_eq!(run_object[0]["transcript_hash"], replayed[0]["transcript_hash"]);
    let story = String::from_utf8(run(&["sim", "replay", &file, "--until", "4"], b"").stdout).unwrap();
    assert!(story.contains("3.000 s ! relay        rebooted"), "{story}");
    assert!(!story.contains("unplugged"), "{story}");
}

#[test]
fn a_scenario_that_fails_is_told_saved_and_made_smaller() {
    let file = file("hopeless.scenario", HOPELESS);
    let folder = new_file("failed");
    let ended = run(&["sim", "run", &file, "--save", folder.to_str().unwrap()], b"");
    assert_eq!(ended.code, Some(5), "{}", ended.stderr);
    assert!(ended.stderr.contains("seed 5") && ended.stderr.contains("sim shrink"), "{}", ended.stderr);
    let saved = folder.join("seed-5.scenario");
    let shrunk = run(&["sim", "shrink", saved.to_str().unwrap()], b"");
    let small = String::from_utf8(shrunk.stdout).unwrap();
    assert_eq!(shrunk.code, Some(0), "{}", shrunk.stderr);
    assert!(small.lines().count() < HOPELESS.lines().count(), "{small}");
    assert!(!small.contains("reboot") && small.contains("role relay"), "{small}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_malformed_file_is_told_by_line_and_field() {
    for (text, told) in [
        ("switchboard scenario 9\n", "line 1, version: version 9 is newer"),
        (&SCENARIO.replace("in home", "in nowhere"), "line 5, in: \"nowhere\" is not declared above"),
        (&SCENARIO.replace("port 7433", "port 7433 port 7433"), "line 4, port: port 7433 is in use"),
        (&SCENARIO.replace("weak-4g", "5g"), "line 7, link: \"5g\" is not a profile"),
    ] {
        let file = file("malformed.scenario", text);
        let ended = run(&["sim", "run", &file], b"");
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(told), "{}", ended.stderr);
    }
    let ended = run(&["sim", "run"], b"");
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
}
