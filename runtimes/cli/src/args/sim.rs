//! The command line of `sim`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};
use switchboard::sim::Profile;

use super::{EXIT_CODES, seconds};

/// Plays endpoints and relays in a virtual network, where every run can be repeated.
///
/// A scenario says which hosts, NATs and links there are, and which faults come when. Hosts of the role `relay` are
/// relays; all others are endpoints that keep a session each with the next one and send numbered messages, which a
/// judge counts. Virtual time costs nothing: minutes take milliseconds.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct SimArgs {
    #[command(subcommand)]
    pub(crate) command: SimCommand,

    /// Write JSON to standard output, one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SimCommand {
    Run(RunArgs),
    Replay(ReplayArgs),
    Shrink(ShrinkArgs),
    Matrix(MatrixArgs),
}

/// Plays a scenario, with one seed or with many, and tells how it went.
#[derive(Debug, ClapArgs)]
pub(crate) struct RunArgs {
    /// A scenario's file
    #[arg(value_name = "SCENARIO", required_unless_present_any = ["profile", "random"])]
    pub(crate) scenario: Option<PathBuf>,

    /// The built-in scenario of two hubs and one relay, with links of this profile (good-wifi, congested-wifi,
    /// weak-4g, slow-3g, congested-cellular, very-bad-cellular, satellite, barely-usable or absurd)
    #[arg(long, value_name = "NAME", conflicts_with = "scenario")]
    pub(crate) profile: Option<Profile>,

    /// A scenario made from each seed: NATs, links and faults of all kinds
    #[arg(long, conflicts_with_all = ["scenario", "profile"])]
    pub(crate) random: bool,

    /// The first seed [default: that of the file, else 1]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// How many seeds, one after the other
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) runs: u64,

    /// Write the scenarios that fail into this folder
    #[arg(long, value_name = "FOLDER")]
    pub(crate) save: Option<PathBuf>,
}

/// Plays a scenario's file once and shows what happened.
#[derive(Debug, ClapArgs)]
pub(crate) struct ReplayArgs {
    /// A scenario's file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Stop at this time, in seconds of the world
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) until: Option<Duration>,

    /// Draw what happened as a picture
    #[arg(long, value_name = "OUT")]
    pub(crate) svg: Option<PathBuf>,

    /// Write what crossed each link, for Wireshark
    #[arg(long, value_name = "OUT")]
    pub(crate) pcap: Option<PathBuf>,

    /// Write everything that happened, one JSON object a line, with the reason of each dropped packet
    #[arg(long, value_name = "OUT")]
    pub(crate) timeline: Option<PathBuf>,
}

/// Makes a scenario that fails as small as it can be while it fails.
#[derive(Debug, ClapArgs)]
pub(crate) struct ShrinkArgs {
    /// A scenario's file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Where the smaller one goes [default: standard output]
    #[arg(long, value_name = "OUT")]
    pub(crate) out: Option<PathBuf>,

    /// At most so many runs
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub(crate) most: usize,
}

/// Tries to punch a hole between every pair of NAT kinds.
#[derive(Debug, ClapArgs)]
pub(crate) struct MatrixArgs {
    /// Draw the table as a picture
    #[arg(long, value_name = "OUT")]
    pub(crate) svg: Option<PathBuf>,

    /// The seed of all worlds
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}
