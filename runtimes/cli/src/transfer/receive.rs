//! `receive`.

use std::path::PathBuf;

use serde_json::json;
use switchboard::hub::SessionId;

use super::LABEL;
use super::files::{Clash, FileError, Partial};
use super::message::{Offer, Refusal};
use super::progress::Progress;
use super::receiver::{Arrived, Receiver};
use crate::args::ReceiveArgs;
use crate::meeting::{Meeting, Part};
use crate::outcome::{Code, Failure};
use crate::party::{Party, ended_by};
use crate::signals;

pub(crate) fn run(args: &ReceiveArgs) -> Result<(), Failure> {
    if !args.directory.is_dir() {
        let text = format!("{}: there is no such directory", args.directory.display());
        return Err(Failure::new(Code::Usage, text));
    }
    signals::run(async |stop| {
        let party = Party::start(&args.endpoint)?;
        let (room, secret) = (args.room.as_deref(), args.secret.as_deref());
        let meeting = Meeting { to: None, room, secret, from: args.from.as_slice(), part: Part::Called };
        party.run(&stop, &meeting, LABEL, async |met| receive_all(&party, met.session, args).await).await
    })
}

/// Receives files until the sender closes the session.
async fn receive_all(party: &Party, session: SessionId, args: &ReceiveArgs) -> Result<(), Failure> {
    let mut receiving = Receiving { party, session, args, receiver: Receiver::default(), file: None };
    let mut whole = 0;
    loop {
        match party.message_or_end(session).await? {
            Some(message) => whole += u64::from(receiving.on_message(&message).await?),
            None if receiving.file.is_none() && whole > 0 => return Ok(()),
            None => return Err(Failure::new(Code::Lost, "the sender has left before all was sent")),
        }
    }
}

struct Receiving<'a> {
    party: &'a Party,
    session: SessionId,
    args: &'a ReceiveArgs,
    receiver: Receiver,
    file: Option<Arriving>,
}

/// A file that is arriving.
struct Arriving {
    offer: Offer,
    partial: Partial,
    progress: Progress,
}

impl Receiving<'_> {
    /// Answers whether a file is whole now.
    async fn on_message(&mut self, message: &[u8]) -> Result<bool, Failure> {
        match self.receiver.receive(message)? {
            Arrived::Offer(offer) => self.take(offer).await?,
            Arrived::Start(at) => self.start(at)?,
            Arrived::Chunk(bytes) => self.write(bytes).await?,
            Arrived::Aborted(refusal) => return Err(Failure::new(Code::Lost, refusal.to_string())),
        }
        if self.receiver.is_complete() { self.publish().await.map(|()| true) } else { Ok(false) }
    }

    async fn take(&mut self, offer: Offer) -> Result<(), Failure> {
        if self.args.max_size.is_some_and(|most| offer.size > most) {
            let text = format!("{} has {} bytes, more than --max-size allows", offer.name, offer.size);
            return self.refuse(Refusal::Declined, Failure::new(Code::Lost, text)).await;
        }
        let (partial, prefix) = match Partial::open(&self.args.directory, &offer) {
            Ok(opened) => opened,
            Err(error) => return self.fail(error).await,
        };
        let progress = Progress::of(offer.name.as_str(), offer.size, prefix.count());
        let accept = self.receiver.accept(prefix);
        self.file = Some(Arriving { offer, partial, progress });
        self.say(&accept).await
    }

    fn start(&mut self, at: u64) -> Result<(), Failure> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.progress = Progress::of(file.offer.name.as_str(), file.offer.size, at);
        Ok(file.partial.keep(at)?)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.progress.add(bytes.len() as u64);
        match file.partial.write(bytes) {
            Ok(()) => Ok(()),
            Err(error) => self.fail(error).await,
        }
    }

    /// Verifies the file and gives it its name; the sender is told then.
    async fn publish(&mut self) -> Result<(), Failure> {
        let Some(Arriving { offer, partial, progress }) = self.file.take() else { return Ok(()) };
        drop(progress);
        if !self.receiver.is_verified() {
            partial.discard();
            let failure = Failure::new(Code::Lost, format!("{}: {}", offer.name, Refusal::Corrupt));
            return self.refuse(Refusal::Corrupt, failure).await;
        }
        let clash = if self.args.overwrite { Clash::Overwrite } else { Clash::Rename };
        match partial.publish(&self.args.directory, &offer.name, clash) {
            Ok(path) => self.done(&offer, path).await,
            Err(error) => self.fail(error).await,
        }
    }

    async fn done(&self, offer: &Offer, path: PathBuf) -> Result<(), Failure> {
        let shown = path.display().to_string();
        let event = json!({"event": "received", "name": offer.name.as_str(), "size": offer.size, "path": shown});
        self.party.tell(event, &format!("received {shown}"));
        self.say(&Receiver::verified()).await
    }

    async fn fail(&mut self, error: FileError) -> Result<(), Failure> {
        self.refuse(error.refusal(), error.into()).await
    }

    async fn refuse(&mut self, refusal: Refusal, failure: Failure) -> Result<(), Failure> {
        let message = self.receiver.refuse(refusal);
        self.say(&message).await?;
        Err(failure)
    }

    async fn say(&self, message: &[u8]) -> Result<(), Failure> {
        match self.party.send(self.session, message).await {
            Ok(()) => Ok(()),
            Err(error) => Err(ended_by(self.party, self.session, error).await),
        }
    }
}
