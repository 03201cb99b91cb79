//! What a link does to the packets that cross it, in one direction: time, loss, order, rate, size.
//!
//! A packet first waits for its turn where there is a rate, or is dropped where the queue is full; then it may be
//! lost; then it takes its time. A burst of losses is counted in packets; where there is a rate, silence counts as the full
//! packets that it would have carried, so that a burst passes also while nobody sends. Jitter keeps the order, as links do that have one queue; only what is chosen for
//! reordering is overtaken. Everything is drawn from one source of randomness per direction, and by additions and
//! comparisons alone, so that debug and release builds and all machines agree.

use std::time::Duration;

use super::timeline::DropReason;
use crate::machine::rng::Rng;
use crate::machine::time::Instant;

/// Both directions of a link between a host or gateway and the network that it is attached to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Link {
    /// Towards the network.
    pub up: Conditions,
    /// From the network.
    pub down: Conditions,
}

impl Link {
    /// The same conditions both ways.
    pub const fn symmetric(conditions: Conditions) -> Self {
        Self { up: conditions, down: conditions }
    }
}

/// One direction of a link. The default passes everything at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conditions {
    /// How long a packet is under way, beside what its network takes.
    pub delay: Delay,
    /// Which packets are lost.
    pub loss: Loss,
    /// The probability that a packet comes twice.
    pub duplicate: f64,
    /// The probability that a packet is overtaken.
    pub reorder: f64,
    /// How much later a packet comes that is overtaken.
    pub reorder_by: Duration,
    /// Bytes a second, headers included.
    pub rate: Option<u64>,
    /// Bytes that wait for their turn at most where there is a rate; what comes then is dropped.
    pub queue: u64,
    /// The size of the largest packet, headers included, at least 68 bytes.
    pub mtu: usize,
    /// Whether larger packets vanish. Otherwise they cross in fragments, and streams have learned the size.
    pub black_hole: bool,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            delay: Delay::Constant(Duration::ZERO),
            loss: Loss::Never,
            duplicate: 0.0,
            reorder: 0.0,
            reorder_by: Duration::from_millis(10),
            rate: None,
            queue: 128 * 1024,
            mtu: 1500,
            black_hole: false,
        }
    }
}

/// How long a packet is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delay {
    /// Always as long.
    Constant(Duration),
    /// Anything from the first to the second, alike.
    Uniform(Duration, Duration),
    /// Around a mean, with a standard deviation; never negative, and never off by more than six deviations.
    Normal(Duration, Duration),
}

/// Which packets are lost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loss {
    /// None.
    Never,
    /// Each with this probability.
    Independent(f64),
    /// Two states, of which one loses more (Gilbert and Elliott). All are probabilities per packet.
    GilbertElliott {
        /// From good to bad.
        enter: f64,
        /// From bad to good.
        leave: f64,
        /// Loss in the good state.
        good: f64,
        /// Loss in the bad state.
        bad: f64,
    },
}

impl Loss {
    /// Bursts in which everything is lost: `average` of all packets (below 1), `length` packets a burst in the mean (at
    /// least 1).
    pub fn bursts(average: f64, length: f64) -> Self {
        let leave = 1.0 / length.max(1.0);
        let average = average.clamp(0.0, 0.99);
        Self::GilbertElliott { enter: leave * average / (1.0 - average), leave, good: 0.0, bad: 1.0 }
    }
}

/// One direction of a link at work.
#[derive(Debug)]
pub(super) struct Pipe {
    conditions: Conditions,
    rng: Rng,
    is_bad: bool,
    /// When the last packet entered.
    used: Instant,
    free: Instant,
    last: Instant,
}

/// When a packet comes out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Passage {
    pub(super) at: Instant,
    /// When it comes out once more.
    pub(super) again: Option<Instant>,
}

impl Pipe {
    pub(super) const fn new(conditions: Conditions, rng: Rng) -> Self {
        Self { conditions, rng, is_bad: false, used: Instant::ZERO, free: Instant::ZERO, last: Instant::ZERO }
    }

    /// Other conditions from now on; what waits for its turn goes on waiting.
    pub(super) const fn set(&mut self, conditions: Conditions) {
        self.conditions = conditions;
        self.is_bad = false;
    }

    /// Whether the time at which a packet enters matters to others.
    pub(super) const fn has_queue(&self) -> bool {
        self.conditions.rate.is_some()
    }

    /// A packet of `size` bytes, headers included, enters.
    pub(super) fn pass(&mut self, now: Instant, size: usize) -> Result<Passage, DropReason> {
        let size = self.fragmented(size)?;
        let left = self.take_turn(now, size)?;
        let silence = now - self.used;
        self.used = self.used.max(now);
        self.survive(silence)?;
        let at = self.arrive(left);
        let again = self.chance(self.conditions.duplicate).then(|| self.arrive(left));
        Ok(Passage { at, again })
    }

    /// The bytes that a packet takes of the rate.
    fn fragmented(&self, size: usize) -> Result<usize, DropReason> {
        /// What each fragment repeats of the headers.
        const HEADER: usize = 20;
        let mtu = self.conditions.mtu.max(68);
        match size {
            size if size <= mtu => Ok(size),
            _ if self.conditions.black_hole => Err(DropReason::BlackHole),
            size => Ok(size + HEADER * (size.div_ceil(mtu - HEADER) - 1)),
        }
    }

    fn take_turn(&mut self, now: Instant, size: usize) -> Result<Instant, DropReason> {
        let Some(rate) = self.conditions.rate else { return Ok(now) };
        let rate = rate.max(1);
        let free = self.free.max(now);
        let waiting = (free - now).as_nanos() * u128::from(rate) / 1_000_000_000;
        if waiting + size as u128 > u128::from(self.conditions.queue.max(size as u64)) {
            return Err(DropReason::QueueFull);
        }
        let nanos = size as u128 * 1_000_000_000 / u128::from(rate);
        self.free = free + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        Ok(self.free)
    }

    fn survive(&mut self, silence: Duration) -> Result<(), DropReason> {
        match self.conditions.loss {
            Loss::Never => Ok(()),
            Loss::Independent(p) if self.rng.chance(p) => Err(DropReason::Loss),
            Loss::Independent(_) => Ok(()),
            Loss::GilbertElliott { enter, leave, good, bad } => {
                let steps = 1 + self.silent_packets(silence);
                self.is_bad = self.rng.chance(bad_after(steps, self.is_bad, enter, leave));
                let (p, reason) = if self.is_bad { (bad, DropReason::BurstLoss) } else { (good, DropReason::Loss) };
                if self.chance(p) { Err(reason) } else { Ok(()) }
            }
        }
    }

    /// How many full packets the rate would have carried in that time.
    fn silent_packets(&self, silence: Duration) -> u64 {
        let Some(rate) = self.conditions.rate else { return 0 };
        let bytes = silence.as_nanos() * u128::from(rate) / 1_000_000_000;
        u64::try_from(bytes / self.conditions.mtu.max(68) as u128).unwrap_or(u64::MAX)
    }

    fn arrive(&mut self, left: Instant) -> Instant {
        let at = (left + self.conditions.delay.draw(&mut self.rng)).max(self.last);
        if self.chance(self.conditions.reorder) {
            return at + self.conditions.reorder_by;
        }
        self.last = at;
        at
    }

    fn chance(&mut self, p: f64) -> bool {
        p > 0.0 && self.rng.chance(p)
    }
}

impl Delay {
    fn draw(self, rng: &mut Rng) -> Duration {
        match self {
            Self::Constant(delay) => delay,
            Self::Uniform(low, high) => {
                let span = high.saturating_sub(low).as_nanos().saturating_add(1);
                low + Duration::from_nanos(rng.below(u64::try_from(span).unwrap_or(u64::MAX)))
            }
            Self::Normal(mean, deviation) => {
                // The sum of twelve uniform numbers has the variance 1: near enough, and without a logarithm, whose
                // last bit is the platform's.
                let sum: f64 = (0..6).map(|_| halves(rng.u64())).sum();
                let nanos = mean.as_nanos() as f64 + (sum - 6.0) * deviation.as_nanos() as f64;
                Duration::from_nanos(nanos.max(0.0) as u64)
            }
        }
    }
}

/// The probability of the bad state after that many steps of its chain.
fn bad_after(steps: u64, is_bad: bool, enter: f64, leave: f64) -> f64 {
    if enter + leave <= 0.0 {
        return f64::from(u8::from(is_bad));
    }
    let (share, start) = (enter / (enter + leave), f64::from(u8::from(is_bad)));
    share + (start - share) * power(1.0 - enter - leave, steps)
}

/// By multiplications alone, which are the same everywhere.
fn power(mut base: f64, mut exponent: u64) -> f64 {
    let mut result = 1.0;
    while exponent > 0 {
        if exponent % 2 == 1 {
            result *= base;
        }
        base *= base;
        exponent /= 2;
    }
    result
}

/// Two uniform numbers below 1, added.
fn halves(bits: u64) -> f64 {
    const UNIT: f64 = (1_u64 << 32) as f64;
    (bits >> 32) as f64 / UNIT + (bits & 0xffff_ffff) as f64 / UNIT
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    fn pipe(conditions: Conditions) -> Pipe {
        Pipe::new(conditions, Rng::from_u64(7))
    }

    fn at(time: Duration) -> Instant {
        Instant::ZERO + time
    }

    /// What becomes of that many packets, one a millisecond.
    fn run(conditions: Conditions, packets: u32) -> Vec<Result<Passage, DropReason>> {
        let mut pipe = pipe(conditions);
        (0..packets).map(|n| pipe.pass(at(MILLI * n), 100)).collect()
    }

    fn lost(results: &[Result<Passage, DropReason>]) -> usize {
        results.iter().filter(|result| result.is_err()).count()
    }

    #[test]
    fn a_plain_link_passes_everything_at_once() {
        assert_eq!(pipe(Conditions::default()).pass(at(MILLI), 1500), Ok(Passage { at: at(MILLI), again: None }));
    }

    #[test]
    fn independent_loss_has_its_rate_and_no_memory() {
        let results = run(Conditions { loss: Loss::Independent(0.1), ..Conditions::default() }, 20_000);
        let pairs = results.windows(2).filter(|pair| pair[0].is_err() && pair[1].is_err()).count();
        assert!((1_800..2_200).contains(&lost(&results)), "{} lost", lost(&results));
        assert!((140..260).contains(&pairs), "{pairs} pairs");
    }

    #[test]
    fn bursts_have_their_average_and_their_length() {
        let results = run(Conditions { loss: Loss::bursts(0.05, 10.0), ..Conditions::default() }, 100_000);
        let bursts = results.windows(2).filter(|pair| pair[0].is_ok() && pair[1].is_err()).count();
        let (lost, length) = (lost(&results), lost(&results) as f64 / bursts as f64);
        assert!((4_000..6_000).contains(&lost), "{lost} lost");
        assert!((8.5..11.5).contains(&length), "{length} packets a burst");
    }

    #[test]
    fn a_burst_passes_also_while_nobody_sends() {
        let conditions = Conditions { loss: Loss::bursts(0.1, 100.0), rate: Some(1_500_000), ..Conditions::default() };
        let bursts = |pause: u32| {
            let mut pipe = pipe(conditions);
            let results: Vec<_> = (0..20_000).map(|n| pipe.pass(at(MILLI * n * pause), 1500)).collect();
            let (lost, begun) =
                (lost(&results), results.windows(2).filter(|pair| pair[0].is_ok() && pair[1].is_err()).count());
            assert!((1_500..2_500).contains(&lost), "{lost} lost, one packet each {pause} ms");
            lost as f64 / begun as f64
        };
        let (busy, slow) = (bursts(1), bursts(1000));
        assert!(busy > 50.0 && slow < 1.5, "{busy} and {slow} packets a burst");
    }

    #[test]
    fn normal_delay_has_its_mean_and_its_deviation() {
        let mut rng = Rng::from_u64(1);
        let delay = Delay::Normal(50 * MILLI, 5 * MILLI);
        let draws: Vec<f64> = (0..20_000).map(|_| delay.draw(&mut rng).as_secs_f64() * 1000.0).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        assert!((mean - 50.0).abs() < 0.2, "mean {mean}");
        assert!((variance.sqrt() - 5.0).abs() < 0.2, "deviation {}", variance.sqrt());
    }

    #[test]
    fn uniform_delay_stays_within_its_bounds_and_reaches_both_ends() {
        let mut rng = Rng::from_u64(1);
        let draws: Vec<_> = (0..2000).map(|_| Delay::Uniform(10 * MILLI, 20 * MILLI).draw(&mut rng)).collect();
        assert!(draws.iter().all(|draw| (10 * MILLI..=20 * MILLI).contains(draw)));
        assert!(draws.iter().any(|draw| *draw < 11 * MILLI) && draws.iter().any(|draw| *draw > 19 * MILLI));
    }

    #[test]
    fn jitter_keeps_the_order_and_reordering_does_not() {
        let jitter = Conditions { delay: Delay::Uniform(MILLI, 50 * MILLI), ..Conditions::default() };
        let overtakes = |conditions| {
            let times: Vec<_> = run(conditions, 1000).into_iter().map(|passage| passage.unwrap().at).collect();
            times.windows(2).filter(|pair| pair[1] < pair[0]).count()
        };
        assert_eq!(overtakes(jitter), 0);
        let reordered = overtakes(Conditions { reorder: 0.1, ..Conditions::default() });
        assert!((60..140).contains(&reordered), "{reordered} were overtaken");
    }

    #[test]
    fn a_rate_spaces_packets_and_its_queue_drops_the_tail() {
        let conditions = Conditions { rate: Some(100_000), queue: 3_000, ..Conditions::default() };
        let mut pipe = pipe(conditions);
        let passed: Vec<_> = (0..5).map(|_| pipe.pass(Instant::ZERO, 1000).map(|passage| passage.at)).collect();
        let full = Err(DropReason::QueueFull);
        assert_eq!(passed, [Ok(at(10 * MILLI)), Ok(at(20 * MILLI)), Ok(at(30 * MILLI)), full, full]);
        assert_eq!(pipe.pass(at(10 * MILLI), 1000).map(|passage| passage.at), Ok(at(40 * MILLI)));
    }

    #[test]
    fn what_exceeds_the_mtu_crosses_in_fragments_or_vanishes() {
        let conditions = Conditions { mtu: 1000, rate: Some(1_000_000), ..Conditions::default() };
        assert_eq!(pipe(conditions).pass(Instant::ZERO, 1500).unwrap().at, at(Duration::from_micros(1520)));
        let hole = Conditions { black_hole: true, ..conditions };
        assert_eq!(pipe(hole).pass(Instant::ZERO, 1001), Err(DropReason::BlackHole));
        assert!(pipe(hole).pass(Instant::ZERO, 1000).is_ok());
    }

    #[test]
    fn duplicates_come_as_often_as_was_said() {
        let results = run(Conditions { duplicate: 0.2, ..Conditions::default() }, 5_000);
        let twice =
            results.iter().filter(|result| result.as_ref().is_ok_and(|passage| passage.again.is_some())).count();
        assert!((900..1_100).contains(&twice), "{twice} came twice");
    }
}
