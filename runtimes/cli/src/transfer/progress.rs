//! How far a transfer is, with rate and remaining time: on a terminal a bar, else nothing.

use indicatif::{ProgressBar, ProgressStyle};

/// The bar of one file.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// For a file of so many bytes, of which some are there already; those do not count for the rate.
    pub(crate) fn of(name: &str, size: u64, have: u64) -> Self {
        let bar = ProgressBar::new(size).with_message(name.to_owned()).with_position(have);
        bar.set_style(style());
        bar.reset_eta();
        Self(bar)
    }

    pub(crate) fn add(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn style() -> ProgressStyle {
    let template = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
