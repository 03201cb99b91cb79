//! What is run, and how the figures of its slices become one line.

use std::time::Duration;

/// Bytes of a file that are one message of a session: as many as one packet holds.
pub const FILE_CHUNK: usize = 16 * 1024;

/// How much is run, and which comparisons.
pub struct Plan {
    /// Slices of each candidate; odd, so that there is a median pair.
    pub slices: usize,
    /// How long load is put on one slice.
    pub slice: Duration,
    /// Whether this is only to see that all of it works.
    pub quick: bool,
    name: String,
}

/// Which of two figures is the better one.
#[derive(Clone, Copy)]
pub enum Better {
    Lower,
    Higher,
}

/// One line of the result.
pub struct Comparison {
    pub name: String,
    pub ours: f64,
    pub baseline: f64,
    pub better: Better,
    pub unit: &'static str,
    /// The ratio that shall be reached; none: the figure is only printed.
    pub goal: Option<f64>,
}

impl Plan {
    pub fn new(quick: bool, name: String) -> Self {
        let (slices, millis) = if quick { (3, 100) } else { (11, 300) };
        Self { slices, slice: Duration::from_millis(millis), quick, name }
    }

    /// Whether anything whose name begins like this may be wanted.
    pub fn wants_some(&self, prefix: &str) -> bool {
        prefix.starts_with(&self.name) || self.name.starts_with(prefix)
    }

    pub fn wants(&self, name: &str) -> bool {
        name.starts_with(&self.name)
    }

    /// Prints a comparison, if it is wanted.
    pub fn report(&self, comparison: &Comparison) {
        if self.wants(&comparison.name) {
            comparison.print();
        }
    }
}

impl Comparison {
    /// Where there is no rival: the figure against its goal.
    pub fn with_goal(name: String, ours: f64, goal: f64, unit: &'static str) -> Self {
        Self { name, ours, baseline: goal, better: Better::Lower, unit, goal: Some(1.0) }
    }

    /// As [`with_goal`](Self::with_goal), for figures that shall be large.
    pub fn with_least(name: String, ours: f64, least: f64, unit: &'static str) -> Self {
        Self { better: Better::Higher, ..Self::with_goal(name, ours, least, unit) }
    }

    fn print(&self) {
        let Self { name, ours, baseline, unit, goal, .. } = self;
        let ratio = ours / baseline;
        let is_met = |goal: f64| match self.better {
            Better::Lower => ratio <= goal,
            Better::Higher => ratio >= goal,
        };
        let better = match self.better {
            Better::Lower => "lower",
            Better::Higher => "higher",
        };
        let verdict = match goal {
            Some(goal) if is_met(*goal) => format!("goal {goal}: met"),
            Some(goal) => format!("goal {goal}: MISSED"),
            None => "no goal".to_owned(),
        };
        eprintln!("{name}: {ours:.2} against {baseline:.2} {unit}, ratio {ratio:.3}, {verdict}");
        println!(
            r#"{{"name":"{name}","ours":{ours:.3},"baseline":{baseline:.3},"ratio":{ratio:.4},"better":"{better}","unit":"{unit}"}}"#
        );
    }
}

/// The pair of slices with the median ratio.
pub fn median_pair(ours: &[f64], baseline: &[f64]) -> (f64, f64) {
    let mut pairs: Vec<_> = ours.iter().copied().zip(baseline.iter().copied()).collect();
    pairs.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
    pairs[pairs.len() / 2]
}

/// The middle one of some figures.
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
