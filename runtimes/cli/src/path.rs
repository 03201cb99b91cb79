//! What people are told of the path that a session takes: once per change, with the reason while it is not direct.

use std::mem::{Discriminant, discriminant};

use serde_json::{Value, json};
use switchboard::hub::explain::{Explanation, NotDirect};
use switchboard::hub::session::event::PathId;

/// What was told last: of which session, its path, and the kind of the reason.
#[derive(Debug)]
pub(crate) struct Told<S>(Option<(S, Option<PathId>, Option<Discriminant<NotDirect>>)>);

impl<S> Default for Told<S> {
    fn default() -> Self {
        Self(None)
    }
}

impl<S: Copy + PartialEq> Told<S> {
    /// Whether that is something else than what was told last, and final: on the same path, what is under way is not
    /// told.
    pub(crate) fn is_news(&mut self, session: S, explanation: &Explanation) -> bool {
        let path = explanation.path.map(|path| path.path);
        let news = (session, path, explanation.not_direct.as_ref().map(discriminant));
        let is_other_path = self.0.is_none_or(|(of, on, _)| (of, on) != (session, path));
        if self.0 == Some(news) || !is_other_path && explanation.not_direct.as_ref().is_some_and(is_under_way) {
            return false;
        }
        self.0 = Some(news);
        true
    }
}

const fn is_under_way(reason: &NotDirect) -> bool {
    matches!(reason, NotDirect::Trying { .. } | NotDirect::NotTried(_) | NotDirect::PathLost { .. })
}

/// The parts of an explanation, for programs.
pub(crate) fn parts(explanation: &Explanation) -> Value {
    json!({
        "path": explanation.path.map(|path| path.to_string()),
        "direct": explanation.path.is_some_and(|path| path.direct),
        "pair": explanation.pair.map(|pair| pair.to_string()),
        "not_direct": explanation.not_direct.as_ref().map(NotDirect::to_string),
        "again_in_ms": explanation.again_in.map(|time| time.as_millis() as u64),
    })
}

#[cfg(test)]
mod tests {
    use switchboard::hub::explain::Side;
    use switchboard::hub::session::event::PathReport;
    use switchboard::machine::time::Instant;
    use switchboard::transport::upgrade::PeerState;

    use super::*;

    fn on(path: u8, not_direct: Option<NotDirect>) -> Explanation {
        let path = PathReport { path: PathId(path), direct: not_direct.is_none(), rtt: None };
        Explanation { path: Some(path), pair: None, not_direct, again_in: None }
    }

    #[test]
    fn each_change_is_told_once_and_what_is_under_way_with_a_new_path_only() {
        let (mut told, session) = (Told::default(), 7);
        let trying = |state| NotDirect::Trying { since: Instant::ZERO, attempt: 256, state };
        assert!(told.is_news(session, &on(1, Some(NotDirect::NotTried(Side::Here)))));
        assert!(!told.is_news(session, &on(1, Some(trying(PeerState::Checking)))));
        assert!(told.is_news(session, &on(1, Some(NotDirect::ChecksUnanswered))));
        assert!(!told.is_news(session, &on(1, Some(NotDirect::ChecksUnanswered))));
        assert!(told.is_news(session, &on(2, None)));
        assert!(!told.is_news(session, &on(2, None)));
        assert!(told.is_news(session, &on(1, Some(NotDirect::PathLost { since: Instant::ZERO }))));
    }
}
