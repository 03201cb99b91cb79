//! Descriptions with all their candidates, for carriers that bring one message and no more: a pasted line, an HTTP
//! request.
//!
//! A peer describes itself at once, and tells its candidates as they are found (RFC 8838). A [`Letter`] takes these
//! signals in, and is a whole description when no more candidates follow.

use super::candidate::Candidate;
use super::sdp::{Description, MAX_CANDIDATES, MAX_DESCRIPTION};
use super::signal::{DescriptionKind, Signal};

/// What a peer has signalled so far.
#[derive(Debug, Default)]
pub struct Letter(Option<(DescriptionKind, Description)>);

impl Letter {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self(None)
    }

    /// Takes in what a peer of this side signals; the whole description once it is, and then never again. At most
    /// [`MAX_CANDIDATES`] candidates are kept.
    pub fn add(&mut self, signal: &Signal<'_>) -> Option<(DescriptionKind, Description)> {
        match signal {
            Signal::Description { kind, sdp, .. } => {
                self.0 = Description::parse(sdp, MAX_DESCRIPTION).ok().map(|description| (*kind, description));
            }
            Signal::Candidate { text, .. } => self.add_candidate(text),
            Signal::EndOfCandidates { .. } => {
                self.0.iter_mut().for_each(|(_, description)| description.end_of_candidates = true);
            }
            _ => {}
        }
        self.0.take_if(|(_, description)| description.end_of_candidates)
    }

    fn add_candidate(&mut self, text: &str) {
        let Some((_, description)) = &mut self.0 else { return };
        if let Ok(candidate) = Candidate::parse(text)
            && description.candidates.len() < MAX_CANDIDATES
        {
            description.candidates.push(candidate);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::candidate::CandidateKind;
    use crate::wire::sdp::Password;

    #[test]
    fn a_letter_is_whole_when_no_more_candidates_follow() {
        let mut letter = Letter::new();
        let sdp = description().to_sdp(1, 1);
        assert_eq!(letter.add(&Signal::Candidate { attempt: 1, text: &candidate().to_string() }), None);
        assert_eq!(letter.add(&Signal::Description { attempt: 1, kind: DescriptionKind::Offer, sdp: &sdp }), None);
        assert_eq!(letter.add(&Signal::Candidate { attempt: 1, text: &candidate().to_string() }), None);
        let (kind, whole) = letter.add(&Signal::EndOfCandidates { attempt: 1 }).unwrap();
        assert_eq!((kind, &whole.candidates[..]), (DescriptionKind::Offer, &[candidate()][..]));
        assert_eq!(letter.add(&Signal::EndOfCandidates { attempt: 1 }), None);
    }

    #[test]
    fn a_description_that_has_all_its_candidates_is_a_whole_letter() {
        let all = Description { candidates: vec![candidate()], end_of_candidates: true, ..description() };
        let signal = Signal::Description { attempt: 1, kind: DescriptionKind::Answer, sdp: &all.to_sdp(1, 1) };
        assert_eq!(Letter::new().add(&signal).unwrap().1.candidates, [candidate()]);
    }

    #[test]
    fn no_more_than_so_many_candidates_are_kept() {
        let (mut letter, text) = (Letter::new(), candidate().to_string());
        let sdp = description().to_sdp(1, 1);
        letter.add(&Signal::Description { attempt: 1, kind: DescriptionKind::Offer, sdp: &sdp });
        for _ in 0..1000 {
            letter.add(&Signal::Candidate { attempt: 1, text: &text });
        }
        assert_eq!(letter.add(&Signal::EndOfCandidates { attempt: 1 }).unwrap().1.candidates.len(), MAX_CANDIDATES);
    }

    fn description() -> Description {
        Description::offer("abcd".to_owned(), Password::new("0123456789abcdef012345").unwrap(), [7; 32])
    }

    fn candidate() -> Candidate {
        Candidate::new(CandidateKind::Host, "192.0.2.1:5000".parse().unwrap(), None)
    }
}
