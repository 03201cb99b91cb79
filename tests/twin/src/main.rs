//! Prints the hashes that `tests/determinism` compares, from a build of its own.

#[path = "../../determinism/runs.rs"]
mod runs;

fn main() {
    runs::lines().iter().for_each(|line| println!("{line}"));
}
