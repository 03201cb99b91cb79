//! What frames cost: headers, masks, and whole messages through the links that are made of them.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput};
use switchboard::link::framed::Framed;
use switchboard::link::websocket::{Role, WebSocket};
use switchboard::machine::Fill;
use switchboard::machine::buf::Buf;
use switchboard::machine::payload::{Flow, Framer, Kind, Payload};
use switchboard::machine::rng::Rng;
use switchboard::wire::websocket::{Header, Mask, Opcode};

/// Messages of one chunk: 64 bytes, or 64 KiB.
const CHUNKS: [(&str, usize, usize); 2] = [("64B", 64, 256), ("64KiB", 64 * 1024, 1)];
const LIMIT: usize = 1 << 20;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    header(&mut criterion);
    mask(&mut criterion);
    websocket(&mut criterion);
    framed(&mut criterion);
    criterion.final_summary();
}

fn header(criterion: &mut Criterion) {
    let header = Header { fin: true, opcode: Opcode::Binary, mask: Some(Mask::new(0x0102_0304)), len: 70_000 };
    let mut out = Vec::new();
    criterion.bench_function("websocket/header-encode", |bencher| {
        bencher.iter(|| {
            out.clear();
            black_box(&header).encode(&mut out);
        });
    });
    criterion.bench_function("websocket/header-decode", |bencher| bencher.iter(|| Header::decode(black_box(&out))));
}

fn mask(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("websocket/mask");
    for (name, size, _) in CHUNKS {
        let mut data = vec![7; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(name, |bencher| bencher.iter(|| Mask::new(0x0102_0304).apply(black_box(&mut data))));
    }
    group.finish();
}

fn websocket(criterion: &mut Criterion) {
    let mut rng = Rng::from_u64(1);
    let mut group = criterion.benchmark_group("websocket");
    for (name, size, count) in CHUNKS {
        group.throughput(Throughput::Elements(count as u64));
        let mut buf = Buf::new(LIMIT);
        let message = vec![7; size];
        let mut server = WebSocket::new(Role::Server, LIMIT);
        group.bench_function(format!("fill-{name}"), |bencher| {
            bencher.iter(|| {
                buf.clear();
                server.fill(&mut rng, &mut buf, &mut times(count, &message))
            });
        });
        buf.clear();
        let filled = WebSocket::new(Role::Client, LIMIT).fill(&mut rng, &mut buf, &mut times(count, &message));
        assert_eq!(filled, Fill::Done);
        group.bench_function(format!("receive-{name}"), |bencher| {
            let chunk = || buf.as_slice().to_vec();
            bencher.iter_batched_ref(chunk, |chunk| server.receive(chunk, &mut take), BatchSize::SmallInput);
        });
    }
    group.finish();
}

fn framed(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("framed");
    for (name, size, count) in CHUNKS {
        group.throughput(Throughput::Elements(count as u64));
        let mut buf = Buf::new(LIMIT);
        let message = vec![7; size];
        let mut link = Framed::new(LIMIT);
        group.bench_function(format!("fill-{name}"), |bencher| {
            bencher.iter(|| {
                buf.clear();
                link.fill(&mut buf, &mut times(count, &message))
            });
        });
        let mut chunk = buf.as_slice().to_vec();
        group.bench_function(format!("receive-{name}"), |bencher| {
            bencher.iter(|| link.receive(black_box(&mut chunk), &mut take));
        });
    }
    group.finish();
}

/// Supplies so many equal messages.
fn times(count: usize, message: &[u8]) -> impl FnMut(&mut dyn Framer) -> bool {
    let mut left = count;
    move |out| {
        let some = left > 0;
        if some {
            left -= 1;
            out.message(Kind::Binary, &[], message);
        }
        some
    }
}

fn take(_: Kind, message: Payload<'_>) -> Flow {
    black_box(message.as_slice());
    Flow::Go
}
