//! Looks for inputs that break a target, without a compiler's instrumentation: mutates what the corpus has, from a
//! seed. `dig TARGET SECONDS [SEED]` ends with 1 and writes the input to `fuzz/artifacts` when it has found one;
//! `dig TARGET FILE` replays it.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use std::time::{Duration, Instant};

use switchboard::machine::rng::Rng;
use switchboard_fuzz::TARGETS;

const LONGEST: usize = 2000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().expect("a target");
    let how_long = arguments.next().expect("seconds, or a file");
    let seed = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1);
    let target = TARGETS.iter().find(|(known, _)| *known == name).expect("a known target").1;
    let Ok(seconds) = how_long.parse() else { return target(&fs::read(how_long).expect("a file")) };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut corpus: Vec<_> = fs::read_dir(root.join("corpus").join(&name))
        .expect("a corpus")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    corpus.sort();
    let corpus: Vec<_> = corpus.iter().map(|path| fs::read(path).expect("an input")).collect();
    let (mut rng, start, mut runs) = (Rng::from_u64(seed), Instant::now(), 0u64);
    while start.elapsed() < Duration::from_secs(seconds) {
        let input = mutated(&corpus, &mut rng);
        runs += 1;
        if catch_unwind(|| target(&input)).is_err() {
            let folder = root.join("artifacts").join(&name);
            fs::create_dir_all(&folder).expect("a folder");
            let path = folder.join(format!("dig-{seed}-{runs}"));
            fs::write(&path, &input).expect("written");
            println!("{name} fails after {runs} inputs in {:.1?}: {}", start.elapsed(), path.display());
            std::process::exit(1);
        }
    }
    println!("{name} passes {runs} inputs");
}

/// Pieces of the corpus one after the other, some of their bytes changed.
fn mutated(corpus: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut input = pick(corpus, rng).clone();
    for _ in 0..rng.below(4) {
        let other = pick(corpus, rng);
        let (from, at) = (place(other, rng), place(&input, rng));
        let end = from + rng.below((other.len() - from + 1) as u64) as usize;
        let piece = other[from..end].repeat(1 + rng.below(3) as usize);
        let replaced = if rng.chance(0.5) { 0 } else { piece.len().min(input.len() - at) };
        input.splice(at..at + replaced, piece);
    }
    for _ in 0..rng.below(9) {
        let at = place(&input, rng);
        match rng.below(4) {
            _ if at == input.len() => {}
            0 => input[at] = rng.below(256) as u8,
            1 => input[at] ^= 1 << rng.below(8),
            2 => _ = input.remove(at),
            _ => input.insert(at, rng.below(256) as u8),
        }
    }
    input.truncate(LONGEST);
    input
}

fn pick<'a>(corpus: &'a [Vec<u8>], rng: &mut Rng) -> &'a Vec<u8> {
    &corpus[rng.below(corpus.len() as u64) as usize]
}

fn place(input: &[u8], rng: &mut Rng) -> usize {
    rng.below(input.len() as u64 + 1) as usize
}
