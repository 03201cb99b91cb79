//! `switchboard demo`.

use serde_json::Value;

use crate::child::{Program, run};

#[test]
fn the_demo_loses_nothing_and_says_so_in_one_json_object() {
    let ended = run(&["demo", "--json"], b"");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let result: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(result["ok"], true);
    let kinds = result["kinds"].as_array().unwrap();
    assert_eq!(kinds.iter().map(|row| row["kind"].as_str().unwrap()).collect::<Vec<_>>(), ["tcp", "tls", "ws", "wss"]);
    for row in kinds {
        assert!(row["sent"].as_u64().unwrap() > 1000, "{row}");
        assert_eq!(row["sent"], row["received"], "{row}");
        assert_eq!((&row["lost"], &row["repeated"], &row["out_of_order"]), (&0.into(), &0.into(), &0.into()), "{row}");
        assert!(row["bytes_per_second"].as_f64().unwrap() > 0.0, "{row}");
    }
}

#[test]
fn the_demo_tells_people_each_step_and_ends_with_a_table() {
    let ended = run(&["demo"], b"");
    let text = String::from_utf8(ended.stdout).unwrap();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{text}");
    for step in ["the relay listens on wss://127.0.0.1:", "client b is connected from", "out of order"] {
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
