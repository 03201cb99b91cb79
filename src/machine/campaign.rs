//! Whether tests play long campaigns.

/// `SWITCHBOARD_CAMPAIGN=full` asks for them.
#[allow(clippy::disallowed_methods, reason = "how much is played comes from the environment")]
pub(crate) fn is_full() -> bool {
    std::env::var("SWITCHBOARD_CAMPAIGN").is_ok_and(|mode| mode == "full")
}
