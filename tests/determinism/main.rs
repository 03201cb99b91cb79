//! The same scenario is the same run: in one process, in two, and in builds that are optimized differently.
//!
//! `SWITCHBOARD_TWIN` names a program that prints the same lines; `tests/run` builds it in release mode, with no
//! feature but `sim` (`tests/twin`).

#![allow(missing_docs, clippy::disallowed_methods)]

#[cfg(feature = "webrtc")]
mod direct;
mod runs;

use std::ffi::OsStr;
use std::process::Command;

use runs::lines;

/// Set in a child: it prints its hashes.
const CHILD: &str = "SWITCHBOARD_HASHES";

fn lines_of(program: &OsStr) -> Vec<String> {
    lines_by(program, "hashes_for_whoever_asks")
}

fn lines_by(program: &OsStr, test: &str) -> Vec<String> {
    let output = Command::new(program)
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .expect("the test can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("it prints text");
    text.lines().filter(|line| line.starts_with("hash of ")).map(str::to_owned).collect()
}

fn same(ours: &[String], theirs: &[String], whose: &str) {
    assert_eq!(ours.len(), theirs.len(), "{whose}: another number of runs");
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert_eq!(ours, theirs, "{whose}");
    }
}

#[test]
fn hashes_for_whoever_asks() {
    if std::env::var_os(CHILD).is_some() {
        lines().iter().for_each(|line| println!("\n{line}"));
    }
}

#[test]
fn a_scenario_is_the_same_run_in_this_process_in_others_and_in_another_build() {
    if std::env::var_os(CHILD).is_some() {
        return;
    }
    let ours = lines();
    same(&ours, &lines(), "this process once more");
    let this = std::env::current_exe().expect("this test has a path");
    same(&ours, &lines_of(this.as_os_str()), "a fresh process");
    match std::env::var_os("SWITCHBOARD_TWIN") {
        Some(twin) => same(&ours, &lines_of(&twin), "the other build"),
        None => println!("SWITCHBOARD_TWIN is not set: no other build was asked"),
    }
    println!("{} runs are the same", ours.len());
}

#[cfg(feature = "webrtc")]
#[test]
fn hashes_of_direct_paths_for_whoever_asks() {
    if std::env::var_os(CHILD).is_some() {
        direct::lines().iter().for_each(|line| println!("\n{line}"));
    }
}

#[cfg(feature = "webrtc")]
#[test]
fn a_scenario_with_direct_paths_is_the_same_run_in_this_process_and_in_others() {
    if std::env::var_os(CHILD).is_some() {
        return;
    }
    let ours = direct::lines();
    same(&ours, &direct::lines(), "this process once more");
    let this = std::env::current_exe().expect("this test has a path");
    same(&ours, &lines_by(this.as_os_str(), "hashes_of_direct_paths_for_whoever_asks"), "a fresh process");
    let direct = ours.iter().filter(|line| !line.ends_with(", 0 times direct")).count();
    println!("{} runs are the same, {direct} of them with direct paths", ours.len());
    assert!(direct * 2 > ours.len());
}
