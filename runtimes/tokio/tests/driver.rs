//! What a program sees of a machine that runs in a task.

mod party;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use party::{Event, Manner, Party, bytes, listen, loopback, next, open, soon};
use switchboard::machine::port::{PortChange, PortError, PortRequest, PortSpec};
use switchboard_tokio::{MAX_EVENTS, spawn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::yield_now;

const NAMED: &str = "a stream of the test";

#[tokio::test]
async fn what_is_sent_to_an_echo_comes_back_and_both_sides_close() {
    let (echo, caller) = (spawn(Party::new(Manner::Echo)), spawn(Party::default()));
    let port = open(&caller, PortSpec::Dial(listen(&echo).await)).await;
    let message: Vec<u8> = (0..8 << 20).map(|n: u32| (n >> 8) as u8).collect();
    caller.act(|party, _| party.send(port, &message));
    assert!(bytes(&caller, port, message.len()).await == message);
    caller.act(|party, _| party.ask(port, PortRequest::Finish));
    assert_eq!(next(&caller).await, Event::Port(port, PortChange::Closed));
    let seen = [next(&echo).await, next(&echo).await, next(&echo).await];
    let [_, Event::Port(_, PortChange::Eof), Event::Port(_, PortChange::Closed)] = seen else { panic!("{seen:?}") };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_on_several_threads_may_call_at_once() {
    let (echo, caller) = (spawn(Party::new(Manner::Echo)), spawn(Party::default()));
    let port = open(&caller, PortSpec::Dial(listen(&echo).await)).await;
    let tasks = (0..4).map(|_| caller.clone()).map(|caller| {
        tokio::spawn(async move {
            for _ in 0..500 {
                caller.act(|party, _| party.send(port, b"ping"));
                yield_now().await;
            }
        })
    });
    let tasks: Vec<_> = tasks.collect();
    assert_eq!(bytes(&caller, port, 8000).await, b"ping".repeat(2000));
    for task in tasks {
        soon(task).await.expect("no panic");
    }
}

#[tokio::test]
async fn a_cancelled_next_loses_no_event() {
    let handle = spawn(Party::default());
    let speaker = handle.clone();
    tokio::spawn(async move {
        for n in 0..1000 {
            speaker.act(|party, _| party.say(n));
            yield_now().await;
        }
    });
    let (mut seen, mut cancelled) = (0, 0);
    while seen < 1000 {
        tokio::select! {
            biased;
            event = next(&handle) => {
                assert_eq!(event, Event::Said(seen));
                seen += 1;
            }
            () = std::future::ready(()) => {
                cancelled += 1;
                yield_now().await;
            }
        }
    }
    assert!(cancelled > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handles_share_one_queue_of_events() {
    let handle = spawn(Party::default());
    let takers = [handle.clone(), handle.clone()].map(|handle| {
        tokio::spawn(async move {
            let mut taken = Vec::new();
            while let Some(Event::Said(n)) = handle.next().await {
                taken.push(n);
            }
            taken
        })
    });
    for n in 0..5000 {
        handle.act(|party, _| party.say(n));
    }
    handle.act(|party, cx| party.tick(cx, Duration::from_nanos(1)));
    let mut all = Vec::new();
    for taker in takers {
        all.extend(soon(taker).await.expect("no panic"));
    }
    all.sort_unstable();
    assert!(all.into_iter().eq(0..5000));
}

#[tokio::test]
async fn a_full_queue_rests_the_machine_and_calls_go_on() {
    let handle = spawn(Party::default());
    for n in 0..3 * MAX_EVENTS {
        handle.act(|party, _| party.say(n));
    }
    let port = handle.act(|party, cx| party.open(cx, PortSpec::Listen(loopback())));
    assert_eq!(next(&handle).await, Event::Said(0));
    let mut more = 0;
    while handle.try_next().is_some() {
        more += 1;
    }
    assert_eq!(more, MAX_EVENTS - 1);
    for n in MAX_EVENTS..3 * MAX_EVENTS {
        assert_eq!(next(&handle).await, Event::Said(n));
    }
    let Event::Port(opened, PortChange::Opened { .. }) = next(&handle).await else { panic!("no listener") };
    assert_eq!(opened, port);
}

#[tokio::test]
async fn a_port_that_never_runs_dry_starves_no_timer_no_other_port_and_no_other_task() {
    let (flooded, server) = (spawn(Party::new(Manner::Swallow)), spawn(Party::new(Manner::Swallow)));
    flooded.provide(NAMED, tokio::io::join(tokio::io::repeat(7), tokio::io::sink()));
    open(&flooded, PortSpec::Host(NAMED.into())).await;
    while flooded.act(|party, _| party.received) == 0 {
        yield_now().await;
    }
    let port = open(&flooded, PortSpec::Dial(listen(&server).await)).await;
    flooded.act(|party, _| party.send(port, b"in spite of the flood"));
    while server.act(|party, _| party.received) == 0 {
        yield_now().await;
    }
    flooded.act(|party, cx| party.tick(cx, Duration::from_millis(5)));
    for _ in 0..10 {
        assert_eq!(next(&flooded).await, Event::Tick);
    }
}

#[tokio::test(start_paused = true)]
async fn timers_follow_the_paused_clock_of_the_runtime() {
    let handle = spawn(Party::default());
    let began = tokio::time::Instant::now();
    handle.act(|party, cx| party.tick(cx, Duration::from_secs(86_400)));
    assert_eq!(handle.next().await, Some(Event::Tick));
    assert_eq!(began.elapsed().as_secs(), 86_400);
}

#[tokio::test(start_paused = true)]
async fn a_call_between_a_deadline_and_its_timeout_breaks_no_law() {
    let handle = spawn(Party::default());
    handle.act(|party, cx| party.tick(cx, Duration::from_secs(1)));
    yield_now().await;
    let late = pin!(tokio::time::advance(Duration::from_secs(2)));
    assert!(late.poll(&mut Context::from_waker(Waker::noop())).is_pending());
    handle.act(|party, _| party.say(1));
    assert_eq!([next(&handle).await, next(&handle).await], [Event::Said(1), Event::Tick]);
}

#[tokio::test]
async fn a_provided_stream_answers_the_port_of_its_name_once() {
    let (handle, other) = (spawn(Party::default()), spawn(Party::new(Manner::Echo)));
    let (ours, mut theirs) = tokio::io::duplex(16);
    handle.provide(NAMED, ours);
    let port = open(&handle, PortSpec::Host(NAMED.into())).await;
    handle.act(|party, _| party.send(port, &[1; 1000]));
    let mut got = [0; 1000];
    soon(theirs.read_exact(&mut got)).await.expect("1,000 bytes");
    soon(theirs.write_all(b"hi")).await.expect("there is room");
    assert_eq!(bytes(&handle, port, 2).await, b"hi");
    handle.act(|party, _| party.ask(port, PortRequest::Finish));
    assert_eq!(soon(theirs.read(&mut got)).await.expect("an end"), 0);
    drop(theirs);
    assert_eq!(next(&handle).await, Event::Port(port, PortChange::Closed));

    let pipe = handle.act(|party, cx| party.open(cx, PortSpec::Host(NAMED.into())));
    open(&other, PortSpec::Host(NAMED.into())).await;
    let Event::Port(opened, PortChange::Opened { .. }) = next(&handle).await else { panic!("no pipe") };
    assert_eq!(opened, pipe);
    handle.act(|party, _| party.send(pipe, b"through the process"));
    assert_eq!(bytes(&handle, pipe, 19).await, b"through the process");
}

#[tokio::test]
async fn a_stream_that_buffers_is_flushed_even_after_it_was_closed() {
    let handle = spawn(Party::default());
    let (reader, mut to_us) = tokio::io::simplex(64);
    let (mut from_us, writer) = tokio::io::simplex(4);
    handle.provide(NAMED, tokio::io::join(reader, tokio::io::BufWriter::new(writer)));
    let port = open(&handle, PortSpec::Host(NAMED.into())).await;
    soon(to_us.shutdown()).await.expect("an end");
    assert_eq!(next(&handle).await, Event::Port(port, PortChange::Eof));
    handle.act(|party, _| {
        party.send(port, b"more than the stream takes at once");
        party.ask(port, PortRequest::Finish);
    });
    assert_eq!(next(&handle).await, Event::Port(port, PortChange::Closed));
    let mut got = String::new();
    soon(from_us.read_to_string(&mut got)).await.expect("text");
    assert_eq!(got, "more than the stream takes at once");
}

#[tokio::test]
async fn names_are_looked_up_and_unknown_ones_fail() {
    let handle = spawn(Party::default());
    let port = handle.act(|party, cx| party.resolve(cx, "localhost"));
    let Event::Port(answered, PortChange::Resolved(addrs)) = next(&handle).await else { panic!("no answer") };
    assert_eq!(answered, port);
    assert!(addrs.iter().all(|addr| addr.is_loopback()) && !addrs.is_empty());
    let port = handle.act(|party, cx| party.resolve(cx, "a name with spaces"));
    assert_eq!(next(&handle).await, Event::Port(port, PortChange::Failed(PortError::NameNotFound)));
}

#[tokio::test]
async fn a_panic_in_a_call_leaves_the_machine_usable() {
    let handle = spawn(Party::default());
    let panicked = catch_unwind(AssertUnwindSafe(|| handle.act(|_, _| panic!("in a call"))));
    assert!(panicked.is_err());
    handle.act(|party, _| party.say(1));
    assert_eq!(next(&handle).await, Event::Said(1));
}

#[tokio::test]
async fn a_panic_of_the_machine_ends_the_events() {
    let handle = spawn(Party::new(Manner::Panic));
    let (ours, mut theirs) = tokio::io::duplex(16);
    handle.provide(NAMED, ours);
    open(&handle, PortSpec::Host(NAMED.into())).await;
    soon(theirs.write_all(b"x")).await.expect("there is room");
    assert_eq!(soon(handle.next()).await, None);
    assert_eq!(soon(theirs.read(&mut [0])).await.expect("an end"), 0);
}

#[tokio::test]
async fn a_driver_that_was_shut_down_gives_its_last_events_then_none() {
    let handle = spawn(Party::default());
    listen(&handle).await;
    handle.act(|party, _| party.say(1));
    assert_eq!(next(&handle).await, Event::Said(1));
    let waiting = tokio::spawn({
        let handle = handle.clone();
        async move { handle.next().await }
    });
    yield_now().await;
    handle.shutdown();
    assert_eq!(soon(waiting).await.expect("no panic"), None);
    handle.act(|party, _| party.say(2));
    assert_eq!(soon(handle.next()).await, None);
}

#[test]
fn a_driver_ends_with_its_runtime() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let first = runtime();
    let handle = first.block_on(async { spawn(Party::default()) });
    first.block_on(listen(&handle));
    drop(first);
    assert_eq!(runtime().block_on(soon(handle.next())), None);
}
