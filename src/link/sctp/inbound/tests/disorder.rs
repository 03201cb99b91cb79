//! Whatever the network does to chunks, the same messages come out.

use super::*;
use crate::machine::rng::Rng;

const STREAMS: u16 = 3;

struct Script {
    payload: Vec<u8>,
    chunks: Vec<(Data<'static>, std::ops::Range<usize>)>,
    messages: Vec<(u16, bool, Vec<u8>)>,
}

/// Messages of several streams, each in some fragments; interleaved, if so wished.
fn script(rng: &mut Rng, is_interleaved: bool) -> Script {
    let mut script = Script { payload: Vec::new(), chunks: Vec::new(), messages: Vec::new() };
    let mut next = [[0_u32; 2]; STREAMS as usize];
    let mut open = Vec::new();
    for _ in 0..60 {
        let (stream, is_unordered) = (rng.below(u64::from(STREAMS)) as u16, rng.chance(0.4));
        let count = &mut next[usize::from(stream)][usize::from(is_unordered)];
        let (message, fragments, start) = (*count, 1 + rng.below(6), script.payload.len());
        *count += 1;
        let mut pieces = Vec::new();
        for fragment in 0..fragments {
            let at = script.payload.len();
            script.payload.resize(at + 1 + rng.below(300) as usize, 0);
            rng.fill(&mut script.payload[at..]);
            let data = Data {
                stream,
                is_unordered,
                is_begin: fragment == 0,
                is_end: fragment + 1 == fragments,
                is_interleaved,
                fragment: if is_interleaved { fragment as u32 } else { 0 },
                ..whole(0, message, &[])
            };
            pieces.push((data, at..script.payload.len()));
        }
        script.messages.push((stream, is_unordered, script.payload[start..].to_vec()));
        open.push(pieces.into_iter());
    }
    while !open.is_empty() {
        let at = if is_interleaved { rng.below(open.len().min(4) as u64) as usize } else { 0 };
        match open[at].next() {
            Some((data, range)) => {
                let tsn = FIRST.add(script.chunks.len() as u32);
                script.chunks.push((Data { tsn, ..data }, range));
            }
            None => drop(open.remove(at)),
        }
    }
    script
}

/// Loses, repeats and reorders until all has come.
fn play(seed: u64) {
    let mut rng = Rng::from_u64(seed);
    let is_interleaved = rng.chance(0.5);
    let script = script(&mut rng, is_interleaved);
    let mut inbound = inbound(&Config::default(), is_interleaved, rng.chance(0.5));
    let mut came: Vec<(u16, Vec<u8>)> = Vec::new();
    let mut missing: Vec<usize> = (0..script.chunks.len()).collect();
    while !missing.is_empty() {
        let at = rng.below(missing.len().min(20) as u64) as usize;
        let which = if rng.chance(0.2) { missing[at] } else { missing.remove(at) };
        let (data, range) = &script.chunks[which];
        let data = Data { payload: &script.payload[range.clone()], ..*data };
        feed(&mut inbound, &[data]).unwrap();
        if rng.chance(0.3) {
            told(&mut inbound);
        }
        while rng.chance(0.9)
            && let Some(received) = inbound.take()
        {
            came.push((received.stream, received.bytes.to_vec()));
        }
        if rng.chance(0.05) {
            inbound.trim();
        }
    }
    compare(seed, &script, came, &mut inbound);
}

fn compare(seed: u64, script: &Script, mut came: Vec<(u16, Vec<u8>)>, inbound: &mut Inbound) {
    while let Some(received) = inbound.take() {
        came.push((received.stream, received.bytes.to_vec()));
    }
    for stream in 0..STREAMS {
        let of = |wanted: bool| {
            let all = script.messages.iter();
            let all = all.filter(move |(id, is_unordered, _)| *id == stream && *is_unordered == wanted);
            all.map(|(_, _, bytes)| bytes).collect::<Vec<_>>()
        };
        let all: Vec<_> = came.iter().filter(|(id, _)| *id == stream).map(|(_, bytes)| bytes).collect();
        let (ordered, mut unordered) = (of(false), of(true));
        let (mut loose, tight): (Vec<_>, Vec<_>) = all.into_iter().partition(|bytes| !ordered.contains(bytes));
        assert!(tight == ordered, "seed {seed}, stream {stream}: ordered");
        unordered.sort();
        loose.sort();
        assert!(loose == unordered, "seed {seed}, stream {stream}: unordered");
    }
    assert_eq!(inbound.window(), 1 << 20, "seed {seed}");
    assert_eq!(inbound.cumulative(), FIRST.add(script.chunks.len() as u32 - 1), "seed {seed}");
    assert_eq!(inbound.statistics().stale, 0, "seed {seed}");
}

#[test]
fn messages_survive_loss_repetition_and_disorder() {
    (0..300).for_each(play);
}

/// Chunks and skips without sense: nothing panics, and what is held stays bounded.
#[test]
fn nonsense_harms_nobody() {
    let config = Config { receive_window: 20_000, max_message: 5_000, ..Config::default() };
    let bytes = [0; 1_200];
    for seed in 0..300 {
        let mut rng = Rng::from_u64(seed);
        let is_interleaved = rng.chance(0.5);
        let mut inbound = inbound(&config, is_interleaved, true);
        for _ in 0..400 {
            let data = Data {
                stream: rng.below(4) as u16,
                is_unordered: rng.chance(0.5),
                is_begin: rng.chance(0.5),
                is_end: rng.chance(0.5),
                is_interleaved,
                fragment: if is_interleaved { rng.below(5) as u32 } else { 0 },
                ..whole(rng.below(200) as u32, rng.below(6) as u32, &bytes[..1 + rng.below(1_199) as usize])
            };
            let skipped = [Skipped { stream: data.stream, is_unordered: data.is_unordered, message: data.message }];
            let result = match rng.below(20) {
                0 => forward(&mut inbound, FIRST.add(rng.below(150) as u32), is_interleaved, &skipped),
                1 => {
                    inbound.reset(data.stream);
                    inbound.hold(data.stream, rng.chance(0.5));
                    Ok(())
                }
                2 => {
                    told(&mut inbound);
                    taken(&mut inbound);
                    Ok(())
                }
                _ => feed(&mut inbound, &[data]),
            };
            assert!(inbound.inbox.charge() + inbound.assembly.charge() <= 20_000 + 10_000 + (64 << 10) + 2_000);
            if result.is_err() {
                break;
            }
        }
    }
}
