//! What every implementation of [`Sockets`] must do: a suite that a driver's own tests run.
//!
//! Each case plays both ends on one [`Harness`] and obeys the rules of a [`Pump`](super::pump::Pump): it receives
//! only from a port that was said to be readable, sends only to one that was said to be writable, and takes a
//! short read for an emptied socket where [`Sockets::short_read_is_empty`] says so. An edge that a driver misses
//! therefore ends a case as it would hang a program. Patience is counted in calls of [`Harness::wait`]; no case
//! reads a clock, so that virtual time will do.

mod addresses;
mod bench;
mod datagrams;
mod lifecycle;
mod names;
mod streams;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::ids::PortId;
use super::port::PortChange;
use super::pump::{Readiness, Sockets};

/// What happened to a port, as a driver would tell its pump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// For [`Pump::ready`](super::pump::Pump::ready).
    Ready(Readiness),
    /// For [`Pump::change`](super::pump::Pump::change).
    Change(PortChange),
}

/// A driver's sockets without its pump: one event loop that the suite turns by hand.
pub trait Harness {
    /// What is tested.
    type Sockets: Sockets;

    /// The sockets.
    fn sockets(&mut self) -> &mut Self::Sockets;

    /// Waits until something happens, at most `max`, and answers all that happened since the last call.
    fn wait(&mut self, max: Duration) -> Vec<(PortId, Happening)>;

    /// An address of this host.
    fn host(&self) -> IpAddr;

    /// An address on which a dial is neither accepted nor refused.
    fn silent(&mut self) -> SocketAddr;

    /// A name that resolves to [`Self::host`], and one that has no address.
    fn names(&self) -> (String, String);

    /// An IPv6 address of this host; cases that need one are left out where there is none.
    fn host_v6(&self) -> Option<IpAddr> {
        None
    }

    /// Whether ECN marks reach this host from itself, and its program hears of them.
    fn carries_ecn(&self) -> bool {
        true
    }

    /// How many connections are made at once: fewer only where the system allows so few descriptors.
    fn crowd(&self) -> usize {
        1000
    }
}

/// One case; it wants a harness of its own, whose sockets have seen no port yet.
#[derive(Debug)]
pub struct Case<H> {
    /// What the case shows, as a sentence in snake case.
    pub name: &'static str,
    /// Plays it. The error says what was expected and what came.
    pub play: fn(&mut H) -> Result<(), String>,
}

macro_rules! cases {
    ($($module:ident::$name:ident),* $(,)?) => {
        vec![$(Case { name: stringify!($name), play: $module::$name }),*]
    };
}

/// All cases.
pub fn cases<H: Harness>() -> Vec<Case<H>> {
    cases![
        lifecycle::a_listener_tells_the_port_that_the_system_chose,
        lifecycle::both_sides_tell_the_same_addresses,
        lifecycle::a_taken_address_is_in_use,
        lifecycle::a_dial_that_nobody_answers_is_refused,
        lifecycle::a_silent_dial_stays_quiet_and_can_be_cancelled,
        lifecycle::a_crowd_that_comes_at_once_is_accepted_whole,
        lifecycle::a_closed_port_is_never_heard_of_again,
        lifecycle::a_port_that_is_closed_before_it_opened_is_never_heard_of,
        names::a_name_resolves_to_its_address,
        names::a_name_without_an_address_is_not_found,
        names::a_cancelled_look_up_is_never_heard_of_again,
        names::the_first_opener_of_a_host_stream_waits_for_the_second,
        names::a_third_opener_of_a_host_stream_starts_anew,
        names::a_host_stream_that_was_given_up_is_not_joined,
        streams::each_emptying_is_followed_by_an_edge,
        streams::bytes_that_came_before_the_accept_are_reported,
        streams::a_full_stream_is_writable_again_once_it_was_read,
        streams::a_half_closed_stream_still_receives,
        streams::an_end_that_comes_with_the_last_bytes_is_noticed,
        streams::an_abort_is_a_reset_at_the_peer,
        streams::an_abort_drops_what_the_peer_has_not_taken,
        streams::what_was_sent_before_a_close_arrives,
        streams::what_was_sent_before_a_close_with_unread_bytes_arrives,
        datagrams::a_bound_port_tells_the_address_that_the_system_chose,
        datagrams::a_bound_address_is_in_use,
        datagrams::datagrams_keep_their_boundaries_whatever_their_size,
        datagrams::a_batch_arrives_as_its_datagrams,
        datagrams::a_batch_that_no_system_sends_at_once_arrives_whole,
        datagrams::each_emptied_bound_port_is_followed_by_an_edge,
        datagrams::a_datagram_tells_where_it_is_from_and_to,
        datagrams::datagrams_cross_ipv6_as_well,
        datagrams::marks_of_congestion_cross,
        datagrams::ports_of_both_families_may_have_one_number,
        datagrams::a_datagram_to_nobody_harms_nothing,
        datagrams::a_batch_that_cannot_leave_is_dropped_alone,
        datagrams::a_closed_bound_port_is_never_heard_of_again,
        addresses::the_list_follows_the_opening_and_holds_this_host,
        addresses::two_lists_tell_the_same,
        addresses::a_closed_list_is_never_heard_of_again,
    ]
}

/// Runs all cases, each on a harness of its own; the error lists those that failed.
pub fn run_all<H: Harness>(mut harness: impl FnMut() -> H) -> Result<(), String> {
    let cases = cases::<H>();
    let failed: Vec<String> = cases
        .iter()
        .filter_map(|case| (case.play)(&mut harness()).err().map(|error| format!("{}: {error}", case.name)))
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!("{} of {} cases failed\n{}", failed.len(), cases.len(), failed.join("\n")))
}
