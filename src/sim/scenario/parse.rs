//! Scenarios from text. An error names the line and the field, and the first one ends the reading.

use std::str::FromStr;
use std::time::Duration;

use super::{Fault, GatewaySpec, HostSpec, LinkSpec, Scenario, Timed, VERSION};
use crate::sim::clock::Clock;
use crate::sim::link::{Conditions, Delay, Link, Loss};
use crate::sim::world::{OldStreams, Sleep};

/// What is wrong with a scenario, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, {field}: {mistake}")]
pub struct ScenarioError {
    /// Counted from 1.
    pub line: usize,
    /// The word before the value that is wrong, or the statement.
    pub field: String,
    /// What is wrong.
    pub mistake: Mistake,
}

/// A rule of the text that was broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// The first line is not `switchboard scenario VERSION`.
    #[error("this is no scenario: its first line shall be `switchboard scenario {VERSION}`")]
    NoScenario,
    /// A newer program wrote it.
    #[error("version {0} is newer than {VERSION}, the newest that is understood here")]
    TooNew(u32),
    /// No statement begins so.
    #[error("there is no such statement")]
    NoSuchStatement,
    /// The statement or the value has no such field.
    #[error("there is no such field here")]
    NoSuchField,
    /// A value is missing.
    #[error("a value is missing")]
    Missing,
    /// A value is not what it should be.
    #[error("{value:?} is not {expected}")]
    Malformed {
        /// As it is written.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// The name belongs to another host or gateway.
    #[error("{0:?} is declared already")]
    NameInUse(String),
    /// No host or gateway of that name is declared above.
    #[error("{0:?} is not declared above")]
    Unknown(String),
    /// A gateway was put into the network that is behind it.
    #[error("{0:?} cannot be inside itself")]
    InsideItself(String),
    /// A host was put behind another host, which has no network.
    #[error("{0:?} is a host: there is no link to a network behind it")]
    NoNetwork(String),
    /// The fault is for a host, and a gateway was named.
    #[error("{0:?} is not a host")]
    NotAHost(String),
    /// The fault is for a gateway, and a host was named.
    #[error("{0:?} is not a gateway")]
    NotAGateway(String),
    /// The host listens on that port already.
    #[error("port {0} is in use on this host")]
    PortInUse(u16),
    /// The statement may stand once only.
    #[error("it stands above already")]
    Again,
    /// There is more in the line than belongs there.
    #[error("{0:?} is too much")]
    TooMuch(String),
    /// A fault comes after everything is mended.
    #[error("it comes after the heal")]
    AfterHeal,
    /// Without a host there is nothing to play.
    #[error("there is no host")]
    NoHost,
}

impl FromStr for Scenario {
    type Err = ScenarioError;

    fn from_str(text: &str) -> Result<Self, ScenarioError> {
        Reader::default().read(text)
    }
}

#[derive(Default)]
struct Reader {
    seed: Option<u64>,
    gateways: Vec<GatewaySpec>,
    hosts: Vec<HostSpec>,
    links: Vec<(String, LinkSpec)>,
    faults: Vec<(usize, Timed)>,
    heal: Option<Duration>,
    converge: Option<Duration>,
}

/// The words of one line that are still to be read.
struct Line<'a> {
    number: usize,
    words: std::iter::Peekable<std::str::SplitWhitespace<'a>>,
    field: &'a str,
}

type Read<T> = Result<T, ScenarioError>;

impl Reader {
    fn read(mut self, text: &str) -> Read<Scenario> {
        let mut lines = text.lines().enumerate().map(|(index, line)| Line::new(index + 1, line));
        lines.next().unwrap_or_else(|| Line::new(1, "")).head()?;
        let mut last = 1;
        for mut line in lines {
            last = line.number;
            self.statement(&mut line)?;
            line.end()?;
        }
        self.finish(last)
    }

    fn statement(&mut self, line: &mut Line<'_>) -> Read<()> {
        match line.statement() {
            None => Ok(()),
            Some("seed") => once(line, &mut self.seed, |line| line.number("a number")),
            Some("heal") => once(line, &mut self.heal, |line| line.time()),
            Some("converge") => once(line, &mut self.converge, |line| line.time()),
            Some("gateway") => self.gateway(line),
            Some("host") => self.host(line),
            Some("link") => {
                let (name, link) = self.link(line)?;
                self.links.push((name, link));
                Ok(())
            }
            Some("at") => self.fault(line),
            Some(_) => Err(line.error(Mistake::NoSuchStatement)),
        }
    }

    fn gateway(&mut self, line: &mut Line<'_>) -> Read<()> {
        let name = self.new_name(line)?;
        let mut gateway = GatewaySpec { name, inside: None, kind: crate::sim::NatKind::ALL[0] };
        let mut has_kind = false;
        while let Some(field) = line.next_field() {
            match field {
                "nat" => (gateway.kind, has_kind) = (line.parse("a NAT kind, such as eim-apdf")?, true),
                "in" => gateway.inside = self.net(line, Some(&gateway.name))?,
                _ => return Err(line.error(Mistake::NoSuchField)),
            }
        }
        line.field = "nat";
        if !has_kind {
            return Err(line.error(Mistake::Missing));
        }
        self.gateways.push(gateway);
        Ok(())
    }

    fn host(&mut self, line: &mut Line<'_>) -> Read<()> {
        let name = self.new_name(line)?;
        let mut host = HostSpec { role: name.clone(), name, inside: None, ports: Vec::new(), clock: Clock::default() };
        while let Some(field) = line.next_field() {
            match field {
                "role" => line.word()?.clone_into(&mut host.role),
                "in" => host.inside = self.net(line, Some(&host.name))?,
                "port" => host.ports.push(line.new_port(&host.ports)?),
                "drift" => host.clock.drift = line.parse("millionths from -500000 to 500000")?,
                "ahead" => host.clock.ahead = line.time()?,
                "behind" => host.clock.behind = line.time()?,
                _ => return Err(line.error(Mistake::NoSuchField)),
            }
        }
        self.hosts.push(host);
        Ok(())
    }

    fn new_name(&self, line: &mut Line<'_>) -> Read<String> {
        let name = line.word()?.to_owned();
        if self.is_gateway(&name) || self.is_host(&name) || name == "internet" {
            return Err(line.error(Mistake::NameInUse(name)));
        }
        Ok(name)
    }

    /// A network by the gateway in front of it; none is the Internet.
    fn net(&self, line: &mut Line<'_>, who: Option<&str>) -> Read<Option<String>> {
        let name = line.word()?;
        match name {
            "internet" => Ok(None),
            name if who == Some(name) => Err(line.error(Mistake::InsideItself(name.to_owned()))),
            name if self.is_gateway(name) => Ok(Some(name.to_owned())),
            name if self.is_host(name) => Err(line.error(Mistake::NoNetwork(name.to_owned()))),
            name => Err(line.error(Mistake::Unknown(name.to_owned()))),
        }
    }

    fn link(&self, line: &mut Line<'_>) -> Read<(String, LinkSpec)> {
        let name = self.node(line)?;
        let link = match line.peek() {
            Some("both") => {
                line.next_field();
                LinkSpec::Custom(Box::new(Link::symmetric(line.conditions()?)))
            }
            Some("up" | "down") => LinkSpec::Custom(Box::new(line.directions()?)),
            _ => LinkSpec::Profile(line.parse("a profile, such as weak-4g, nor `both`, `up` or `down`")?),
        };
        Ok((name, link))
    }

    fn fault(&mut self, line: &mut Line<'_>) -> Read<()> {
        let at = line.time()?;
        let Some(kind) = line.next_field() else { return Err(line.error(Mistake::Missing)) };
        let fault = match kind {
            "cut" => Fault::Cut(self.a_host(line)?, self.a_host(line)?),
            "cut-one-way" => Fault::CutOneWay(self.a_host(line)?, self.a_host(line)?),
            "heal" => Fault::Heal(self.a_host(line)?, self.a_host(line)?),
            "unplug" => Fault::Unplug(self.node(line)?),
            "plug" => Fault::Plug(self.node(line)?),
            "kill" => Fault::Kill(self.a_host(line)?),
            "reboot" => Fault::Reboot(self.node(line)?),
            "rebind" => Fault::Rebind(self.a_gateway(line)?),
            "sleep" => Fault::Sleep(self.a_host(line)?),
            "wake" => Fault::Wake(self.a_host(line)?, line.sleep()?),
            "roam" => Fault::Roam(self.a_host(line)?, self.net(line, None)?, line.streams()?),
            "link" => {
                let (name, link) = self.link(line)?;
                Fault::Link(name, link)
            }
            _ => return Err(line.error(Mistake::NoSuchField)),
        };
        self.faults.push((line.number, Timed { at, fault }));
        Ok(())
    }

    fn node(&self, line: &mut Line<'_>) -> Read<String> {
        let name = line.word()?.to_owned();
        if self.is_host(&name) || self.is_gateway(&name) {
            return Ok(name);
        }
        Err(line.error(Mistake::Unknown(name)))
    }

    fn a_host(&self, line: &mut Line<'_>) -> Read<String> {
        let name = self.node(line)?;
        if self.is_host(&name) { Ok(name) } else { Err(line.error(Mistake::NotAHost(name))) }
    }

    fn a_gateway(&self, line: &mut Line<'_>) -> Read<String> {
        let name = self.node(line)?;
        if self.is_gateway(&name) { Ok(name) } else { Err(line.error(Mistake::NotAGateway(name))) }
    }

    fn is_host(&self, name: &str) -> bool {
        self.hosts.iter().any(|host| host.name == name)
    }

    fn is_gateway(&self, name: &str) -> bool {
        self.gateways.iter().any(|gateway| gateway.name == name)
    }

    fn finish(self, last: usize) -> Read<Scenario> {
        let missing = |field: &str, mistake| ScenarioError { line: last, field: field.to_owned(), mistake };
        let heal = self.heal.ok_or_else(|| missing("heal", Mistake::Missing))?;
        let converge = self.converge.ok_or_else(|| missing("converge", Mistake::Missing))?;
        let seed = self.seed.ok_or_else(|| missing("seed", Mistake::Missing))?;
        if self.hosts.is_empty() {
            return Err(missing("host", Mistake::NoHost));
        }
        if let Some((line, _)) = self.faults.iter().find(|(_, fault)| fault.at > heal) {
            return Err(ScenarioError { line: *line, field: "at".to_owned(), mistake: Mistake::AfterHeal });
        }
        let mut faults: Vec<_> = self.faults.into_iter().map(|(_, fault)| fault).collect();
        faults.sort_by_key(|fault| fault.at);
        let Self { gateways, hosts, links, .. } = self;
        Ok(Scenario { seed, gateways, hosts, links, faults, heal, converge })
    }
}

fn once<T>(line: &mut Line<'_>, slot: &mut Option<T>, read: impl FnOnce(&mut Line<'_>) -> Read<T>) -> Read<()> {
    if slot.is_some() {
        return Err(line.error(Mistake::Again));
    }
    *slot = Some(read(line)?);
    Ok(())
}

impl<'a> Line<'a> {
    fn new(number: usize, text: &'a str) -> Self {
        let text = text.split_once('#').map_or(text, |(text, _)| text);
        Self { number, words: text.split_whitespace().peekable(), field: "the line" }
    }

    fn head(mut self) -> Read<()> {
        let words = [self.words.next(), self.words.next()];
        if words != [Some("switchboard"), Some("scenario")] {
            return Err(self.error(Mistake::NoScenario));
        }
        self.field = "version";
        match self.number("a version")? {
            0 => Err(self.error(Mistake::NoScenario)),
            1..=VERSION => self.end(),
            version => Err(self.error(Mistake::TooNew(version))),
        }
    }

    fn statement(&mut self) -> Option<&'a str> {
        self.next_field()
    }

    fn peek(&mut self) -> Option<&'a str> {
        self.words.peek().copied()
    }

    /// The next word, which says what the following ones are.
    fn next_field(&mut self) -> Option<&'a str> {
        let field = self.words.next()?;
        self.field = field;
        Some(field)
    }

    fn word(&mut self) -> Read<&'a str> {
        self.words.next().ok_or_else(|| self.error(Mistake::Missing))
    }

    fn parse<T: FromStr>(&mut self, expected: &'static str) -> Read<T> {
        let value = self.word()?;
        value.parse().map_err(|_| self.malformed(value, expected))
    }

    fn number<T: FromStr>(&mut self, expected: &'static str) -> Read<T> {
        self.parse(expected)
    }

    fn time(&mut self) -> Read<Duration> {
        let value = self.word()?;
        time(value).ok_or_else(|| self.malformed(value, "a time, such as 20ms, 3s, 5min or 1h"))
    }

    /// A part of one: `0.01` or `1%`.
    fn share(&mut self) -> Read<f64> {
        const EXPECTED: &str = "a probability, such as 0.01 or 1%";
        let value = self.word()?;
        let number = match value.strip_suffix('%') {
            Some(percent) => percent.parse::<f64>().map(|percent| percent / 100.0),
            None => value.parse(),
        };
        number.ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| self.malformed(value, EXPECTED))
    }

    /// Bytes a second, or bits with a unit.
    fn rate(&mut self) -> Read<u64> {
        const EXPECTED: &str = "a rate above 0, such as 125000 (bytes a second), 800kbit or 25mbit";
        let value = self.word()?;
        let (digits, bytes) = match value {
            value if value.ends_with("kbit") => (value.trim_end_matches("kbit"), 125),
            value if value.ends_with("mbit") => (value.trim_end_matches("mbit"), 125_000),
            value => (value, 1),
        };
        let rate = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(bytes)).filter(|rate| *rate > 0);
        rate.ok_or_else(|| self.malformed(value, EXPECTED))
    }

    fn new_port(&mut self, others: &[u16]) -> Read<u16> {
        let port = self.number("a port, from 1 to 65535")?;
        match port {
            0 => Err(self.malformed("0", "a port, from 1 to 65535")),
            port if others.contains(&port) => Err(self.error(Mistake::PortInUse(port))),
            port => Ok(port),
        }
    }

    fn sleep(&mut self) -> Read<Sleep> {
        match self.word()? {
            "counts" => Ok(Sleep::Counts),
            "stands-still" => Ok(Sleep::StandsStill),
            value => Err(self.malformed(value, "`counts` or `stands-still`")),
        }
    }

    fn streams(&mut self) -> Read<OldStreams> {
        match self.word()? {
            "break" => Ok(OldStreams::Break),
            "linger" => Ok(OldStreams::Linger),
            value => Err(self.malformed(value, "`break` or `linger`")),
        }
    }

    fn directions(&mut self) -> Read<Link> {
        let mut link = Link::default();
        while let Some(direction @ ("up" | "down")) = self.peek() {
            self.next_field();
            let conditions = self.conditions()?;
            *(if direction == "up" { &mut link.up } else { &mut link.down }) = conditions;
        }
        Ok(link)
    }

    /// Fields until the next direction or the end.
    fn conditions(&mut self) -> Read<Conditions> {
        let mut own = Conditions::default();
        let mut burst = None;
        while self.peek().is_some_and(|word| !matches!(word, "up" | "down")) {
            match self.next_field() {
                Some("delay") => own.delay = Delay::Constant(self.time()?),
                Some("uniform") => own.delay = Delay::Uniform(self.time()?, self.time()?),
                Some("normal") => own.delay = Delay::Normal(self.time()?, self.time()?),
                Some("loss") => own.loss = Loss::Independent(self.share()?),
                Some("burst") => burst = Some(self.number("a number of packets")?),
                Some("gilbert") => {
                    let (enter, leave) = (self.share()?, self.share()?);
                    own.loss = Loss::GilbertElliott { enter, leave, good: self.share()?, bad: self.share()? };
                }
                Some("duplicate") => own.duplicate = self.share()?,
                Some("reorder") => (own.reorder, own.reorder_by) = (self.share()?, self.time()?),
                Some("rate") => own.rate = Some(self.rate()?),
                Some("queue") => own.queue = self.number("a number of bytes")?,
                Some("mtu") => own.mtu = self.number("a number of bytes")?,
                Some("black-hole") => own.black_hole = true,
                _ => return Err(self.error(Mistake::NoSuchField)),
            }
        }
        if let (Some(length), Loss::Independent(average)) = (burst, own.loss) {
            own.loss = Loss::bursts(average, length);
        }
        Ok(own)
    }

    fn end(&mut self) -> Read<()> {
        match self.words.next() {
            Some(word) => Err(self.error(Mistake::TooMuch(word.to_owned()))),
            None => Ok(()),
        }
    }

    fn malformed(&self, value: &str, expected: &'static str) -> ScenarioError {
        self.error(Mistake::Malformed { value: value.to_owned(), expected })
    }

    fn error(&self, mistake: Mistake) -> ScenarioError {
        ScenarioError { line: self.number, field: self.field.to_owned(), mistake }
    }
}

/// A whole number and its unit.
fn time(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let nanos = match &text[digits..] {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    number.checked_mul(nanos).map(Duration::from_nanos)
}
