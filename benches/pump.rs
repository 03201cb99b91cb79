//! What the contract costs for one wake-up in memory.

#[path = "support/memory.rs"]
mod memory;

use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut wake_ups = memory::WakeUps::new();
    criterion.bench_function("pump/wake-up-in-memory", |bencher| bencher.iter(|| wake_ups.wake_up()));
    criterion.final_summary();
}
