//! The endpoint of a command: who we are, whom we meet, and what people are told of it.
//!
//! A session of a command has one reliable, ordered channel, and its label says what is spoken there; who comes for
//! something else is refused. Sessions for `ping` are answered by every command that waits.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use switchboard::connect::{self, ConnectionString, Options};
use switchboard::hub::channel::{Channel, ChannelId};
use switchboard::hub::explain::Explanation;
use switchboard::hub::rooms::RoomEnd;
use switchboard::hub::session::event::CloseReason;
use switchboard::hub::{Closed, Event, PathPolicy, SendError, SessionId};
use switchboard::link::noise::Token;
use switchboard::link::tls::ClientConfig;
use switchboard::transport::webrtc::WebrtcConfig;
use switchboard::wire::identity::{Address, EndpointId};
use switchboard_tokio::Endpoint;
use switchboard_tokio::environment::direct::{self, DirectError};
use switchboard_tokio::environment::{Environment, EnvironmentError, secret_key};

use crate::args::{EndpointArgs, PathArg};
use crate::meeting::{Meeting, Met};
use crate::outcome::{Code, Failure};
use crate::path::{self, Told};
use crate::peer::is_by_tls;
use crate::report::line;
use crate::signals::Stop;
use crate::trust::{self, Files};

/// The one channel of a command's session.
pub(crate) const CHANNEL: ChannelId = ChannelId::declared(0);

/// The label of the channel on which messages are sent back.
pub(crate) const PING: &str = "ping";

/// Codes with which a session is closed or refused.
pub(crate) const DONE: u8 = 0;
pub(crate) const INTERRUPTED: u8 = 1;
pub(crate) const VIOLATION: u8 = 2;
pub(crate) const NOT_WANTED: u8 = 3;

/// How long the end of a session, and of the endpoint, is waited for.
const FAREWELL: Duration = Duration::from_secs(3);

/// An endpoint with its notices.
pub(crate) struct Party {
    pub(crate) endpoint: Endpoint,
    policy: PathPolicy,
    json: bool,
    pings: RefCell<BTreeSet<SessionId>>,
    told: RefCell<Told<SessionId>>,
}

impl Party {
    /// Starts an endpoint as the command line says.
    pub(crate) fn start(args: &EndpointArgs) -> Result<Self, Failure> {
        let environment = Environment::of_process();
        let file = args.key.clone().map_or_else(|| environment.file("key"), Ok)?;
        let relays = if args.relay.is_empty() { environment.relays()? } else { args.relay.clone() };
        let mut builder = connect::Endpoint::builder(secret_key(&file)?).options(options(args, &relays)?);
        builder = builder.direct(webrtc(args)?);
        for relay in &relays {
            builder = builder.relay(relay);
        }
        if let Some(word) = &args.token {
            builder = builder.token(token(word)?);
        }
        Ok(Self::of(Endpoint::start(builder)?, args))
    }

    fn of(endpoint: Endpoint, args: &EndpointArgs) -> Self {
        let policy = match args.path {
            PathArg::PreferDirect => PathPolicy::PreferDirect,
            PathArg::RelayOnly => PathPolicy::RelayOnly,
            PathArg::DirectOnly => PathPolicy::DirectOnly,
        };
        Self { endpoint, policy, json: args.json, pings: RefCell::default(), told: RefCell::default() }
    }

    /// Opens a session for what `label` stands for.
    pub(crate) async fn dial(&self, to: Address, label: &str) -> Result<SessionId, Failure> {
        if to.id == self.endpoint.address().id {
            let failure = Failure::new(Code::Usage, "that is the id of this endpoint itself");
            return Err(failure.advise("two on one machine need a key each: name one by --key FILE"));
        }
        let opened = self.endpoint.open_by(to, vec![Channel::reliable(label)], self.policy).await;
        let session = opened.map_err(|closed| unreached(to, &closed))?;
        self.tell(json!({"event": "connected", "peer": to.to_string()}), &format!("connected to {to}"));
        Ok(session)
    }

    /// Accepts a session for what `label` stands for, or refuses it with the reason.
    pub(crate) fn admits(
        &self,
        session: SessionId,
        who: &Address,
        channels: &[Channel],
        label: &str,
        from: &[EndpointId],
    ) -> bool {
        let refusal = if !from.is_empty() && !from.contains(&who.id) {
            "it waits for somebody else"
        } else if channels.iter().map(|channel| channel.label.as_str()).ne([label]) {
            "it waits for something else"
        } else {
            self.accept(session);
            self.tell(json!({"event": "connected", "peer": who.to_string()}), &format!("{who} has connected"));
            return true;
        };
        self.endpoint.refuse(session, NOT_WANTED, refusal);
        let event = json!({"event": "refused", "peer": who.to_string(), "reason": refusal});
        self.tell(event, &format!("{who} was refused: {refusal}"));
        false
    }

    /// Opens a session with these channels; an event tells when it stands.
    pub(crate) fn open(&self, to: Address, channels: Vec<Channel>) -> SessionId {
        self.endpoint.act(|endpoint, cx| endpoint.open_by(cx, to, channels, self.policy))
    }

    /// Accepts a session, whose paths are as the command line wants them.
    pub(crate) fn accept(&self, session: SessionId) {
        self.endpoint.act(|endpoint, cx| {
            endpoint.set_path_policy(cx, session, self.policy);
            endpoint.accept(cx, session);
        });
    }

    /// What carries a session, and why nothing better does.
    pub(crate) fn explain(&self, session: SessionId) -> Option<Explanation> {
        self.endpoint.act(|endpoint, cx| endpoint.explain(cx, session))
    }

    /// Says by which id others reach us, once they can.
    pub(crate) async fn announce(&self) -> Result<(), Failure> {
        while self.endpoint.act(|endpoint, _| endpoint.neighbours().next().is_none()) {
            self.event().await?;
        }
        let id = self.endpoint.address().id;
        self.tell(json!({"event": "waiting", "id": id.to_string()}), &format!("waiting as {id}"));
        Ok(())
    }

    /// The next event that is not a matter of course.
    pub(crate) async fn event(&self) -> Result<Event, Failure> {
        loop {
            let event =
                self.endpoint.next().await.ok_or_else(|| Failure::new(Code::Failed, "the endpoint has ended"))?;
            if !self.is_a_ping(&event) {
                self.notice(&event);
                return Ok(event);
            }
        }
    }

    /// Meets somebody, does the work of a command with the session, and ends it; a signal ends it early.
    pub(crate) async fn run(
        &self,
        stop: &Stop,
        meeting: &Meeting<'_>,
        label: &str,
        work: impl AsyncFnOnce(Met) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let session = Cell::new(None);
        let working = async {
            let met = meeting.meet(self, label).await?;
            session.set(Some(met.session));
            work(met).await
        };
        let result = tokio::select! {
            result = working => result,
            () = stop.asked() => {
                self.end(session.get(), INTERRUPTED, "interrupted").await;
                return Ok(());
            }
        };
        match &result {
            Ok(()) => self.end(session.get(), DONE, "").await,
            Err(failure) => self.end(session.get(), VIOLATION, &failure.text).await,
        }
        result
    }

    /// The next message of a session; its end is an error.
    pub(crate) async fn message(&self, of: SessionId) -> Result<Vec<u8>, Failure> {
        match self.next_of(of).await? {
            Ok(message) => Ok(message),
            Err((peer, closed)) => Err(ended(peer, &closed)),
        }
    }

    /// The next message of a session, or nothing if the other side has closed it because all is done.
    pub(crate) async fn message_or_end(&self, of: SessionId) -> Result<Option<Vec<u8>>, Failure> {
        match self.next_of(of).await? {
            Ok(message) => Ok(Some(message)),
            Err((_, Closed::Ended(CloseReason::Peer { code: DONE, .. }))) => Ok(None),
            Err((peer, closed)) => Err(ended(peer, &closed)),
        }
    }

    /// The next message of a session, or how it has ended; others who come meanwhile are refused.
    async fn next_of(&self, of: SessionId) -> Result<Result<Vec<u8>, (Address, Closed)>, Failure> {
        loop {
            match self.event().await? {
                Event::Message { session, bytes, .. } if session == of => return Ok(Ok(bytes)),
                Event::Closed { session, reason, peer } if session == of => return Ok(Err((peer, reason))),
                Event::Incoming { session, .. } => self.endpoint.refuse(session, NOT_WANTED, "it is busy"),
                _ => {}
            }
        }
    }

    /// Sends a message.
    pub(crate) async fn send(&self, session: SessionId, message: &[u8]) -> Result<(), SendError> {
        self.endpoint.send(session, CHANNEL, message).await
    }

    /// Ends a session, and the endpoint once the other side knows.
    pub(crate) async fn end(&self, session: Option<SessionId>, code: u8, text: &str) {
        if let Some(session) = session {
            self.endpoint.close(session, code, text);
            _ = tokio::time::timeout(FAREWELL, self.closed(session)).await;
        }
        self.stop().await;
    }

    /// Says goodbye to the relays.
    pub(crate) async fn stop(&self) {
        _ = tokio::time::timeout(FAREWELL, self.endpoint.stop()).await;
    }

    pub(crate) fn tell(&self, event: Value, text: &str) {
        if self.json { line(&event.to_string()) } else { line(text) }
    }

    async fn closed(&self, of: SessionId) {
        while self.endpoint.act(|endpoint, _| endpoint.peer(of).is_some()) {
            if self.endpoint.next().await.is_none() {
                return;
            }
        }
    }

    /// Answers pings; whether the event was one of theirs.
    fn is_a_ping(&self, event: &Event) -> bool {
        let mut pings = self.pings.borrow_mut();
        match event {
            Event::Incoming { session, channels, .. }
                if channels.iter().map(|channel| channel.label.as_str()).eq([PING]) =>
            {
                self.accept(*session);
                pings.insert(*session)
            }
            Event::Message { session, channel, bytes } if pings.contains(session) => {
                // One that does not read its answers gets none.
                _ = self.endpoint.try_send(*session, *channel, bytes);
                true
            }
            Event::Closed { session, .. } => pings.remove(session),
            Event::Opened { session, .. } | Event::Path { session, .. } | Event::Peer { session, .. } => {
                pings.contains(session)
            }
            _ => false,
        }
    }

    fn notice(&self, event: &Event) {
        let (event, text) = match event {
            Event::Path { session, .. } | Event::Peer { session, .. } => return self.notice_path(*session),
            Event::Disconnected { .. } => {
                (json!({"event": "disconnected"}), "no path to the other side; it is kept for a while".to_owned())
            }
            Event::Reconnected { .. } => {
                (json!({"event": "reconnected"}), "there is a path to the other side again".to_owned())
            }
            Event::NeighbourDown { neighbour, reason, .. } => {
                let (neighbour, reason) = (neighbour.id.short(), reason.to_string());
                (json!({"event": "link-down", "reason": reason}), format!("the link to {neighbour} is down: {reason}"))
            }
            Event::Refused { reason } => {
                (json!({"event": "no-link", "reason": reason.to_string()}), format!("no link to a relay: {reason}"))
            }
            Event::Failed { reason, .. } => {
                let text = format!("a relay can't be reached: {reason}");
                (json!({"event": "no-relay", "reason": reason.to_string()}), text)
            }
            _ => return,
        };
        self.tell(event, &text);
    }

    fn notice_path(&self, session: SessionId) {
        let Some(explanation) = self.explain(session).filter(|explanation| explanation.path.is_some()) else { return };
        if self.told.borrow_mut().is_news(session, &explanation) {
            let mut event = path::parts(&explanation);
            event["event"] = "path".into();
            self.tell(event, &format!("path: {explanation}"));
        }
    }
}

/// How direct paths are made, as command line and environment say.
fn webrtc(args: &EndpointArgs) -> Result<WebrtcConfig, Failure> {
    let text = |argument: &Option<String>| argument.clone().unwrap_or_default();
    let mut config = direct::config_of(&text(&args.ice_servers), &text(&args.candidates))?;
    config.engine = args.engine;
    let trust = trust::client(Files { ca: &args.ca, own: None });
    // A system without authorities is no reason to go without direct paths.
    config.gather.trust = if args.ca.is_empty() { trust.ok() } else { Some(trust?) };
    Ok(config)
}

/// The word of `--token`.
pub(crate) fn token(word: &str) -> Result<Token, Failure> {
    Token::new(word.as_bytes()).ok_or_else(|| Failure::new(Code::Usage, "--token: it must have 1 to 256 bytes"))
}

/// Options for relays of these connection strings.
fn options(args: &EndpointArgs, relays: &[String]) -> Result<Options, Failure> {
    Ok(Options { trust: trust(args, relays)?, ..Options::default() })
}

fn trust(args: &EndpointArgs, relays: &[String]) -> Result<Option<ClientConfig>, Failure> {
    for relay in relays {
        if is_by_tls(&ConnectionString::parse(relay)?) {
            return trust::client(Files { ca: &args.ca, own: None }).map(Some);
        }
    }
    Ok(None)
}

impl From<DirectError> for Failure {
    fn from(error: DirectError) -> Self {
        Self::new(Code::Usage, error.to_string())
    }
}

impl From<EnvironmentError> for Failure {
    fn from(error: EnvironmentError) -> Self {
        Self::new(Code::Usage, error.to_string())
    }
}

/// Why a session does not stand.
pub(crate) fn unreached(to: Address, closed: &Closed) -> Failure {
    let code = if matches!(closed, Closed::Refused { .. }) { Code::Lost } else { Code::Unreachable };
    let failure = Failure::new(code, format!("could not reach {to}: {closed}"));
    match closed {
        Closed::Unreachable(_) => failure.advise("does it run, and does it use the same relay?"),
        Closed::NoTransport => failure.advise("does the relay run? start one by `switchboard relay`"),
        _ => failure,
    }
}

/// Why nothing can be sent any more: how the session has ended, if it has.
pub(crate) async fn ended_by(party: &Party, session: SessionId, error: SendError) -> Failure {
    if !matches!(error, SendError::NotOpen | SendError::Closing) {
        return Failure::new(Code::Failed, error.to_string());
    }
    loop {
        // What the other side has said before its end is its reason.
        if let Err(end) = party.message(session).await {
            return end;
        }
    }
}

/// Why we are not in a room.
pub(crate) fn in_room(room: &str, end: &RoomEnd) -> Failure {
    let failure = Failure::new(Code::Lost, format!("room {room}: {end}"));
    failure.advise("is the room's secret the same for all? --secret SECRET")
}

/// Why a session that stood does not any more.
pub(crate) fn ended(peer: Address, closed: &Closed) -> Failure {
    let peer = peer.id.short();
    match closed {
        Closed::Ended(CloseReason::Peer { code: INTERRUPTED, .. }) => {
            Failure::new(Code::Lost, format!("{peer} was interrupted"))
        }
        Closed::Ended(CloseReason::Peer { text, .. }) if !text.is_empty() => {
            Failure::new(Code::Lost, format!("{peer} has ended the session: {text}"))
        }
        closed => Failure::new(Code::Lost, format!("the session with {peer} has ended: {closed}")),
    }
}
