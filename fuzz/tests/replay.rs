//! Replays what is committed in `fuzz/corpus`: each input of each target once.

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use switchboard_fuzz::{CORPUS, TARGETS, Target};

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn replay(name: &str) {
    let target: Target = TARGETS.iter().find(|(other, _)| *other == name).unwrap().1;
    let folder = Path::new(CORPUS).join(name);
    let inputs = names(&folder);
    assert!(inputs.len() >= 3, "{name} has {} inputs only", inputs.len());
    for input in inputs {
        let data = fs::read(folder.join(&input)).unwrap();
        assert!(catch_unwind(|| target(&data)).is_ok(), "fuzz/corpus/{name}/{input} fails, as the lines above say");
    }
}

#[test]
fn every_target_has_a_corpus_and_a_program_and_nothing_is_left_over() {
    let expected: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(Path::new(CORPUS)), expected);
    let programs = names(&Path::new(CORPUS).with_file_name("fuzz_targets"));
    assert_eq!(programs, expected.iter().map(|name| format!("{name}.rs")).collect());
}

#[test]
fn any_target_takes_nothing_at_all() {
    for (_, target) in TARGETS {
        target(&[]);
    }
}

macro_rules! replays {
    ($($name:ident)*) => {
        mod the_corpus_passes {
            $(
                #[test]
                fn $name() {
                    super::replay(stringify!($name));
                }
            )*

            #[test]
            fn of_every_target() {
                let names = [$(stringify!($name)),*];
                assert_eq!(names.len(), super::TARGETS.len());
            }
        }
    };
}

replays! {
    candidate connection_string data_peer dtls_records frame framed gatherer http_connect http_request hub length
    link_proof negotiation paste peer_pair room_host room_message sctp_association sctp_packet sdp session_opening
    session_packet session_peer signal stream stun_message stun_server tls_client tls_records tls_server transport
    turn_server upgrade_client upgrade_server websocket_client websocket_close websocket_header websocket_server
}
