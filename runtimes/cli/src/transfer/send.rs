//! `send`.

use serde_json::json;
use switchboard::hub::SessionId;

use super::LABEL;
use super::files::Source;
use super::message::{CHUNK, Refusal};
use super::progress::Progress;
use super::sender::{Answer, Sender};
use crate::args::SendArgs;
use crate::meeting::{Meeting, Part};
use crate::outcome::{Code, Failure};
use crate::party::{Party, ended_by};
use crate::signals;

pub(crate) fn run(args: &SendArgs) -> Result<(), Failure> {
    for file in &args.files {
        if !file.is_file() {
            return Err(Failure::new(Code::Usage, format!("{}: there is no such file", file.display())));
        }
    }
    signals::run(async |stop| {
        let party = Party::start(&args.endpoint)?;
        let meeting = Meeting {
            to: args.to,
            room: args.room.as_deref(),
            secret: args.secret.as_deref(),
            from: &[],
            part: Part::Caller,
        };
        party.run(&stop, &meeting, LABEL, async |met| send_all(&party, met.session, args).await).await
    })
}

async fn send_all(party: &Party, session: SessionId, args: &SendArgs) -> Result<(), Failure> {
    for file in &args.files {
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        let hashing = Progress::of(&format!("hashing {}", file.display()), size, 0);
        let source = Source::open(file, |bytes| hashing.add(bytes))?;
        drop(hashing);
        send_one(party, session, source).await?;
    }
    Ok(())
}

async fn send_one(party: &Party, session: SessionId, mut source: Source) -> Result<(), Failure> {
    let offer = source.offer.clone();
    let mut sender = Sender::new(offer.clone());
    tell(party, session, &sender.offer()).await?;
    let Answer::Check { have, hash } = answer(party, session, &mut sender).await? else {
        return Err(Failure::new(Code::Lost, "the other side verifies what it does not have"));
    };
    let right = source.begins_with(have, hash)?;
    let (at, start) = sender.start(right);
    tell(party, session, &start).await?;
    source.seek(at)?;
    let progress = Progress::of(offer.name.as_str(), offer.size, at);
    let early = tokio::select! {
        sent = send_content(party, session, &mut source, &mut sender, &progress) => {
            sent?;
            None
        }
        message = party.message(session) => Some(message?),
    };
    if let Some(message) = early {
        verdict(sender.receive(&message)?)?;
    } else {
        answer(party, session, &mut sender).await?;
    }
    drop(progress);
    let event = json!({"event": "sent", "name": offer.name.as_str(), "size": offer.size, "resumed_at": at});
    party.tell(event, &format!("sent {}", offer.name));
    Ok(())
}

async fn send_content(
    party: &Party,
    session: SessionId,
    source: &mut Source,
    sender: &mut Sender,
    progress: &Progress,
) -> Result<(), Failure> {
    let mut buffer = vec![0; CHUNK];
    while sender.remaining() > 0 {
        let most = sender.remaining().min(CHUNK as u64) as usize;
        let len = match source.read(&mut buffer[..most]) {
            Ok(len) if len == most => len,
            read => return give_up(party, session, sender, read.err().map(Failure::from)).await,
        };
        tell(party, session, &sender.chunk(&buffer[..len])).await?;
        progress.add(len as u64);
    }
    Ok(())
}

/// The file has become shorter, or can't be read.
async fn give_up(party: &Party, session: SessionId, sender: &mut Sender, why: Option<Failure>) -> Result<(), Failure> {
    tell(party, session, &sender.abort()).await?;
    Err(why.unwrap_or_else(|| Failure::new(Code::Failed, Refusal::Changed.to_string())))
}

async fn answer(party: &Party, session: SessionId, sender: &mut Sender) -> Result<Answer, Failure> {
    verdict(sender.receive(&party.message(session).await?)?)
}

fn verdict(answer: Answer) -> Result<Answer, Failure> {
    match answer {
        Answer::Refused(refusal) => Err(Failure::new(Code::Lost, refusal.to_string())),
        answer => Ok(answer),
    }
}

/// Sends; if the session has ended, its end has the reason.
async fn tell(party: &Party, session: SessionId, message: &[u8]) -> Result<(), Failure> {
    match party.send(session, message).await {
        Ok(()) => Ok(()),
        Err(error) => Err(ended_by(party, session, error).await),
    }
}
