//! `switchboard demo`.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::child::{Program, run};

#[test]
fn the_demo_loses_nothing_when_paths_die_and_says_so_in_one_json_object() {
    let start = Instant::now();
    let ended = run(&["demo", "--json"], b"");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    let result: Value = serde_json::from_slice(&ended.stdout).unwrap();
    let keys = ["lost", "out_of_order", "path_changes", "paths", "received", "repeated", "sent", "stall_ms"];
    assert_eq!(result.as_object().unwrap().keys().collect::<Vec<_>>(), keys);
    assert!(result["sent"].as_u64().unwrap() >= 1000, "{result}");
    assert_eq!(result["sent"], result["received"], "{result}");
    assert_eq!((&result["lost"], &result["repeated"], &result["out_of_order"]), (&0.into(), &0.into(), &0.into()));
    let mut direct: Vec<_> = result["paths"].as_array().unwrap().iter().map(|path| path["direct"] == true).collect();
    direct.dedup();
    assert!(direct.starts_with(&[false, true, false, true]), "{result}\n{}", ended.stderr);
}

#[test]
fn the_demo_tells_people_each_step_and_ends_with_tables() {
    let ended = run(&["demo"], b"");
    let text = String::from_utf8(ended.stdout).unwrap();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{text}");
    for step in ["listens on 127.0.0.1:", "has a session with b", ": direct", "is cut", "goes dead", "out of order"] {
        assert!(text.contains(step), "{step} is not in {text}");
    }
    assert!(text.ends_with("Every message arrived, once and in order.\n"), "{text}");
    assert!(!text.contains('\x1b'), "colours without a terminal");
}

#[test]
fn a_reader_that_leaves_early_is_no_error_of_the_demo() {
    let mut demo = Program::start(&["demo"]);
    demo.close_output();
    let ended = demo.ended();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}
