//! The rows of the comparison.

mod dc_bulk;
mod dc_fair;
mod dc_goodput;
mod dc_idle;
mod dc_net;
mod dc_small;
mod dial;
mod file;
mod forward;
mod hub_idle;
mod idle;
mod latency;
mod overhead;
mod pump;
mod relay;
mod rtc_bulk;
mod rtc_idle;
mod rtc_setup;
mod rtc_switch;
mod session;
mod sim;

use crate::plan::Plan;

/// Runs what is wanted.
pub fn run(plan: &Plan) {
    pump::run(plan);
    forward::run(plan);
    dial::run(plan);
    idle::run(plan);
    session::run(plan);
    overhead::run(plan);
    relay::run(plan);
    file::run(plan);
    latency::run(plan);
    hub_idle::run(plan);
    sim::run(plan);
    rtc_bulk::run(plan);
    rtc_setup::run(plan);
    rtc_switch::run(plan);
    rtc_idle::run(plan);
    dc_bulk::run(plan);
    dc_idle::run(plan);
    dc_goodput::run(plan);
    dc_fair::run(plan);
    dc_small::run(plan);
    dc_net::run(plan);
}
