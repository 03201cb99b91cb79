//! Bytes, their edges and their end, on streams of both kinds.

use std::io;

use super::Harness;
use super::bench::{Bench, End, KINDS, Kind};
use crate::machine::ids::PortId;

pub(super) fn each_emptying_is_followed_by_an_edge<H: Harness>(harness: &mut H) -> Result<(), String> {
    on_both_kinds(harness, |bench, here, there| {
        for round in 0..100_u8 {
            bench.send(here, &[round; 1000])?;
            bench.expect(there, &[round; 1000])?;
            bench.send(there, &[round])?;
            bench.expect(here, &[round])?;
        }
        Ok(())
    })
}

pub(super) fn bytes_that_came_before_the_accept_are_reported<H: Harness>(harness: &mut H) -> Result<(), String> {
    let mut bench = Bench::new(harness);
    let (listener, address) = bench.listen()?;
    let dialled = bench.dial(address);
    bench.opened(dialled)?;
    bench.send(dialled, b"early")?;
    bench.settle()?;
    let (accepted, _) = bench.accept(listener)?;
    bench.expect(accepted, b"early")
}

pub(super) fn a_full_stream_is_writable_again_once_it_was_read<H: Harness>(harness: &mut H) -> Result<(), String> {
    on_both_kinds(harness, |bench, here, there| {
        for _ in 0..2 {
            let sent = bench.fill(here)?;
            bench.expect(there, &sent)?;
            bench.writable(here)?;
        }
        bench.send(here, b"more")?;
        bench.expect(there, b"more")
    })
}

pub(super) fn a_half_closed_stream_still_receives<H: Harness>(harness: &mut H) -> Result<(), String> {
    on_both_kinds(harness, |bench, here, there| {
        bench.send(here, b"the last")?;
        bench.finish(here)?;
        bench.expect_last(there, b"the last")?;
        bench.send(there, b"an answer")?;
        bench.expect(here, b"an answer")?;
        let sent = bench.fill(there)?;
        bench.finish(there)?;
        bench.expect_last(here, &sent)
    })
}

pub(super) fn an_end_that_comes_with_the_last_bytes_is_noticed<H: Harness>(harness: &mut H) -> Result<(), String> {
    on_both_kinds(harness, |bench, here, there| {
        bench.send(here, b"the last")?;
        bench.finish(here)?;
        bench.settle()?;
        bench.expect_last(there, b"the last")
    })
}

pub(super) fn an_abort_is_a_reset_at_the_peer<H: Harness>(harness: &mut H) -> Result<(), String> {
    on_both_kinds(harness, |bench, here, there| {
        bench.send(here, b"some")?;
        bench.readable(there)?;
        bench.close(here, true);
        let (received, end) = bench.rest(there)?;
        let is_prefix = received.is_empty() || received == b"some";
        if is_prefix && end == End::Broken(io::ErrorKind::ConnectionReset) {
            return Ok(());
        }
        Err(format!("{there}: expected at most b\"some\" and ConnectionReset, got {received:?} and {end:?}"))
    })
}

pub(super) fn an_abort_drops_what_the_peer_has_not_taken<H: Harness>(harness: &mut H) -> Result<(), String> {
    let mut bench = Bench::new(harness);
    let (here, there) = bench.pair(Kind::Tcp)?;
    let sent = bench.fill(here)?;
    bench.close(here, true);
    let (received, end) = bench.rest(there)?;
    if sent.starts_with(&received) && end == End::Broken(io::ErrorKind::ConnectionReset) {
        return Ok(());
    }
    let (sent, received) = (sent.len(), received.len());
    Err(format!("{there}: expected some of {sent} bytes and ConnectionReset, got {received} and {end:?}"))
}

pub(super) fn what_was_sent_before_a_close_arrives<H: Harness>(harness: &mut H) -> Result<(), String> {
    on_both_kinds(harness, |bench, here, there| {
        let sent = bench.fill(here)?;
        bench.finish(here)?;
        bench.close(here, false);
        bench.expect_last(there, &sent)
    })
}

pub(super) fn what_was_sent_before_a_close_with_unread_bytes_arrives<H: Harness>(
    harness: &mut H,
) -> Result<(), String> {
    on_both_kinds(harness, |bench, here, there| {
        bench.send(there, b"half a fra")?;
        bench.readable(here)?;
        bench.send(here, b"farewell")?;
        bench.readable(there)?;
        bench.close(here, false);
        match bench.rest(there)? {
            // TCP answers unread bytes with a reset, after what was sent.
            (received, End::Finished | End::Broken(io::ErrorKind::ConnectionReset)) if received == b"farewell" => {
                Ok(())
            }
            (received, end) => Err(format!("{there}: expected b\"farewell\" and an end, got {received:?} and {end:?}")),
        }
    })
}

fn on_both_kinds<H: Harness>(
    harness: &mut H,
    play: impl Fn(&mut Bench<'_, H>, PortId, PortId) -> Result<(), String>,
) -> Result<(), String> {
    let mut bench = Bench::new(harness);
    for kind in KINDS {
        let (here, there) = bench.pair(kind)?;
        play(&mut bench, here, there).map_err(|error| format!("{kind:?} stream: {error}"))?;
    }
    Ok(())
}
