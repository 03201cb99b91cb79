//! What a hub has done, for people and for machines that watch it.

use std::fmt::Write as _;

use super::session::event::PathCounts;
use crate::transport::upgrade::PeerReport;

/// One path of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStatistics {
    /// What the session knows of it.
    pub counts: PathCounts,
    /// What its transport knows of it, where the path is one of an upgrade.
    pub peer: Option<PeerReport>,
}

macro_rules! statistics {
    ($($(#[doc = $doc:literal])* $name:ident: $kind:ident,)*) => {
        /// Counters and gauges of one hub. Drops are counted by their reason.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct Statistics {
            $($(#[doc = $doc])* pub $name: u64,)*
        }

        impl Statistics {
            fn fields(&self) -> impl Iterator<Item = (&'static str, &'static str, &'static str, u64)> {
                [$((stringify!($name), stringify!($kind), concat!($($doc),*), self.$name)),*].into_iter()
            }
        }
    };
}

statistics! {
    /// Links to neighbours that have proved who they are.
    links: gauge,
    /// Sessions of this hub itself.
    sessions: gauge,
    /// Routes that this hub passes on, each direction one.
    routes: gauge,
    /// Rooms that this hub keeps.
    rooms: gauge,
    /// Members of the rooms that this hub keeps.
    members: gauge,
    /// Packets passed on.
    forwarded_packets: counter,
    /// Bytes of packets passed on.
    forwarded_bytes: counter,
    /// Packets dropped because their sender's quota of bytes was used up.
    dropped_quota: counter,
    /// Packets dropped because too much waited for their receiver.
    dropped_full: counter,
    /// Packets dropped because nobody had allotted their route, or it had ended.
    dropped_route: counter,
    /// Packets to sessions dropped because they were forged, changed, repeated or too late.
    dropped_packets: counter,
    /// Packets dropped because they are larger than a packet of a session can be.
    dropped_large: counter,
    /// Frames dropped because too many of them waited.
    dropped_frames: counter,
    /// Refused connections that the application was not told of, as it had too much to take already.
    dropped_events: counter,
    /// Links refused or ended because the neighbour broke a rule or failed its proof.
    misbehaved_links: counter,
    /// Paths of sessions closed because what came on them broke a rule.
    misbehaved_paths: counter,
    /// Neighbours sent away by policy or quota.
    refused_links: counter,
    /// Routes refused by policy or quota, or because nobody is there.
    refused_routes: counter,
}

impl Statistics {
    /// In Prometheus' text format, version 0.0.4; names begin with `switchboard_`.
    pub fn to_prometheus(&self) -> String {
        let mut out = String::new();
        for (name, kind, doc, value) in self.fields() {
            let total = if kind == "counter" { "_total" } else { "" };
            let name = format!("switchboard_{name}{total}");
            _ = write!(out, "# HELP {name} {}\n# TYPE {name} {kind}\n{name} {value}\n", doc.trim());
        }
        out
    }

    /// As one JSON object.
    pub fn to_json(&self) -> String {
        let fields: Vec<_> = self.fields().map(|(name, _, _, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", fields.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_is_in_both_texts() {
        let statistics = Statistics { links: 3, forwarded_bytes: 12, ..Statistics::default() };
        let text = statistics.to_prometheus();
        assert!(text.contains("# TYPE switchboard_links gauge\nswitchboard_links 3\n"), "{text}");
        assert!(
            text.contains("# TYPE switchboard_forwarded_bytes_total counter\nswitchboard_forwarded_bytes_total 12\n")
        );
        assert!(text.contains("# HELP switchboard_links Links to neighbours that have proved who they are.\n"));
        let json = statistics.to_json();
        assert!(json.starts_with("{\"links\":3,") && json.contains("\"forwarded_bytes\":12"), "{json}");
    }
}
