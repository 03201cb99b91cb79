//! How many crates the core brings into a program, printed and bounded.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeSet;
use std::process::Command;

fn crates(features: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--package", "switchboard", "--edges", "normal", "--prefix", "none"])
        .args(["--no-default-features", "--features", &features.join(",")])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let names = text.lines().filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "switchboard").map(str::to_owned).collect()
}

#[test]
fn the_core_brings_few_crates() {
    for (features, most) in [(&["ws"][..], 55), (&["tls", "ws"][..], 65)] {
        let crates = crates(features);
        println!("{}: {} crates of at most {most}: {crates:?}", features.join(","), crates.len());
        assert!(crates.len() <= most);
    }
}
