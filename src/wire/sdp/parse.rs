//! Reading descriptions: first into sections of attributes, then the data section out of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::text::{ice_chars, number, visible};
use super::{Description, MAX_CANDIDATES, MAX_SECTIONS, OtherSection, Password, SdpError, Setup};
use crate::wire::candidate::Candidate;

pub(super) fn description(sdp: &str, limit: usize) -> Result<Description, SdpError> {
    if sdp.len() > limit {
        return Err(SdpError::TooLarge(sdp.len()));
    }
    let document = Document::read(sdp)?;
    let position = document.sections.iter().position(Section::is_data).ok_or(SdpError::NoData)?;
    let data = &document.sections[position];
    if data.port == 0 && !data.attributes.has("bundle-only") {
        return Err(SdpError::Rejected);
    }
    let mid = data.mid()?.to_owned();
    let others = document.sections.iter().enumerate().filter(|(index, _)| *index != position);
    let other_sections = others.map(|(_, section)| section.other()).collect::<Result<_, _>>()?;
    let scopes = document.scopes(data);
    let Candidates { candidates, skipped, ended } = Candidates::of(&scopes);
    Ok(Description {
        ufrag: scopes.ufrag()?,
        password: Password::new(scopes.value("ice-pwd").ok_or(SdpError::NoPassword)?)?,
        ice_lite: document.session.has("ice-lite"),
        fingerprint: scopes.fingerprint()?,
        setup: scopes.setup()?,
        bundle: !mid.is_empty() && document.group(&mid).is_some(),
        mid,
        sctp_port: data.sctp_port()?,
        max_message: data.max_message()?,
        sctp_init: data.sctp_init()?,
        candidates,
        end_of_candidates: ended,
        skipped,
        other_sections,
        position,
    })
}

struct Document<'a> {
    session: Attributes<'a>,
    sections: Vec<Section<'a>>,
}

struct Section<'a> {
    media: &'a str,
    port: u16,
    protocol: &'a str,
    format: &'a str,
    attributes: Attributes<'a>,
}

/// Names with their values, in order; an attribute without a value has an empty one.
#[derive(Default)]
struct Attributes<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Document<'a> {
    fn read(sdp: &'a str) -> Result<Self, SdpError> {
        let mut lines = sdp.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        if lines.next().is_none_or(|(_, line)| line.trim_end() != "v=0") {
            return Err(SdpError::Version);
        }
        let mut document = Self { session: Attributes::default(), sections: Vec::new() };
        for (index, line) in lines {
            document.line(line).ok_or(SdpError::Line(index + 1))??;
        }
        Ok(document)
    }

    /// Takes one line; `None`: it is none.
    fn line(&mut self, line: &'a str) -> Option<Result<(), SdpError>> {
        let (letter, value) = line.split_once('=')?;
        let [b'a'..=b'z'] = letter.as_bytes() else { return None };
        match letter {
            "m" => return Some(self.section(value)),
            "a" => self.attributes().push(value),
            _ => {}
        }
        Some(Ok(()))
    }

    fn section(&mut self, head: &'a str) -> Result<(), SdpError> {
        if self.sections.len() == MAX_SECTIONS {
            return Err(SdpError::TooManySections);
        }
        self.sections.push(Section::new(head).ok_or(SdpError::Section)?);
        Ok(())
    }

    fn attributes(&mut self) -> &mut Attributes<'a> {
        self.sections.last_mut().map_or(&mut self.session, |section| &mut section.attributes)
    }

    /// The names of the BUNDLE group that a section is of.
    fn group(&self, mid: &str) -> Option<impl Iterator<Item = &'a str>> {
        let groups = self.session.all("group").filter_map(|group| group.strip_prefix("BUNDLE "));
        let mut own = groups.filter(|names| names.split_ascii_whitespace().any(|name| name == mid));
        own.next().map(str::split_ascii_whitespace)
    }

    /// Where attributes of the transport are looked for.
    fn scopes(&'a self, data: &'a Section<'a>) -> Scopes<'a> {
        let leader = data.attributes.value("mid").and_then(|mid| self.group(mid)?.next());
        let leads = |section: &&Section<'a>| leader.is_some() && section.attributes.value("mid") == leader;
        let leader = self.sections.iter().find(leads);
        Scopes([Some(&data.attributes), Some(&self.session), leader.map(|section| &section.attributes)])
    }
}

impl<'a> Section<'a> {
    fn new(head: &'a str) -> Option<Self> {
        let mut words = head.split_ascii_whitespace();
        let (media, port, protocol, format) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let port = number(port.split_once('/').map_or(port, |(port, _count)| port))?;
        let visible = visible(media) && visible(protocol) && visible(format);
        visible.then(|| Self { media, port, protocol, format, attributes: Attributes::default() })
    }

    fn is_data(&self) -> bool {
        let older = self.attributes.value("sctpmap").is_some_and(|map| map.contains("webrtc-datachannel"));
        self.media == "application" && (self.format == "webrtc-datachannel" || older)
    }

    fn mid(&self) -> Result<&'a str, SdpError> {
        let mid = self.attributes.value("mid").unwrap_or_default();
        if mid.is_empty() || visible(mid) { Ok(mid) } else { Err(SdpError::Mid) }
    }

    fn other(&self) -> Result<OtherSection, SdpError> {
        let [media, protocol, format] = [self.media, self.protocol, self.format].map(str::to_owned);
        Ok(OtherSection { media, protocol, format, mid: self.mid()?.to_owned() })
    }

    /// In the older form the port is the section's format.
    fn sctp_port(&self) -> Result<u16, SdpError> {
        let older = (self.format != "webrtc-datachannel").then_some(self.format);
        let port = self.attributes.value("sctp-port").or(older).unwrap_or("5000");
        number(port).filter(|port| *port != 0).ok_or(SdpError::SctpPort)
    }

    fn max_message(&self) -> Result<Option<u64>, SdpError> {
        let Some(size) = self.attributes.value("max-message-size") else { return Ok(None) };
        number(size).map(Some).ok_or(SdpError::MaxMessage)
    }

    fn sctp_init(&self) -> Result<Option<Vec<u8>>, SdpError> {
        let Some(init) = self.attributes.value("sctp-init") else { return Ok(None) };
        STANDARD.decode(init).map(Some).map_err(|_| SdpError::SctpInit)
    }
}

impl<'a> Attributes<'a> {
    fn push(&mut self, attribute: &'a str) {
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        self.0.push((name.trim(), value.trim()));
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(other, _)| *other == name).map(|(_, value)| *value)
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        self.all(name).next()
    }

    fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }
}

/// The data section, the session, and the section that leads the group, in this order.
struct Scopes<'a>([Option<&'a Attributes<'a>>; 3]);

impl<'a> Scopes<'a> {
    fn value(&self, name: &str) -> Option<&'a str> {
        self.0.iter().flatten().find_map(|scope| scope.value(name))
    }

    fn ufrag(&self) -> Result<String, SdpError> {
        let ufrag = self.value("ice-ufrag").ok_or(SdpError::NoUfrag)?;
        if ice_chars(ufrag, 4..=256) { Ok(ufrag.to_owned()) } else { Err(SdpError::Ufrag) }
    }

    /// The one of the first scope that has any of SHA-256.
    fn fingerprint(&self) -> Result<[u8; 32], SdpError> {
        let of = |scope: &&'a Attributes<'a>| scope.all("fingerprint").filter_map(sha256).peekable();
        let mut found = self.0.iter().flatten().map(of).find_map(|mut all| all.peek().is_some().then_some(all));
        let mut texts = found.as_mut().ok_or(SdpError::NoFingerprint)?.map(bytes);
        let first = texts.next().ok_or(SdpError::NoFingerprint)??;
        let same = texts.all(|other| other == Ok(first));
        if same { Ok(first) } else { Err(SdpError::TwoFingerprints) }
    }

    fn setup(&self) -> Result<Setup, SdpError> {
        let word = self.value("setup").ok_or(SdpError::NoSetup)?;
        let setups = [Setup::ActPass, Setup::Active, Setup::Passive];
        setups.into_iter().find(|setup| setup.word() == word).ok_or(SdpError::Setup)
    }
}

/// The bytes of a fingerprint if it is of SHA-256, as text.
fn sha256(fingerprint: &str) -> Option<&str> {
    let (algorithm, bytes) = fingerprint.split_once(' ')?;
    algorithm.eq_ignore_ascii_case("sha-256").then_some(bytes.trim())
}

fn bytes(fingerprint: &str) -> Result<[u8; 32], SdpError> {
    let mut out = [0; 32];
    let mut words = fingerprint.split(':');
    for byte in &mut out {
        let word = words.next().filter(|word| word.len() == 2 && !word.starts_with('+'));
        *byte = word.and_then(|word| u8::from_str_radix(word, 16).ok()).ok_or(SdpError::Fingerprint)?;
    }
    if words.next().is_none() { Ok(out) } else { Err(SdpError::Fingerprint) }
}

struct Candidates {
    candidates: Vec<Candidate>,
    skipped: usize,
    ended: bool,
}

impl Candidates {
    /// Those of the section and of the session; or, if the section has none, those of the leader of its group, whose
    /// transport it shares if it has the same credentials or none.
    fn of(scopes: &Scopes<'_>) -> Self {
        let [data, session, leader] = scopes.0;
        let own = data.is_some_and(|data| data.has("candidate"));
        let shared = |leader: &&Attributes<'_>| leader.value("ice-ufrag") == scopes.value("ice-ufrag");
        let from = [if own { data } else { leader.filter(shared).or(data) }, session];
        let mut found = Self { candidates: Vec::new(), skipped: 0, ended: false };
        for scope in from.into_iter().flatten() {
            scope.all("candidate").for_each(|text| found.take(text));
            found.ended |= scope.has("end-of-candidates");
        }
        found
    }

    fn take(&mut self, text: &str) {
        match Candidate::parse(text) {
            Ok(candidate) if self.candidates.len() < MAX_CANDIDATES => self.candidates.push(candidate),
            _ => self.skipped += 1,
        }
    }
}
