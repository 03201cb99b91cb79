//! `pipe`: standard input and output of two programs, joined.
//!
//! Each direction ends by itself. The side that dialled closes the session, once the other has said that it has
//! written everything and has sent everything.

mod piece;

use std::io;

use piece::{CHUNK, Piece};
use switchboard::hub::{SendError, SessionId};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Notify;

use crate::args::PipeArgs;
use crate::meeting::{Meeting, Met, Part};
use crate::outcome::{Code, Failure};
use crate::party::Party;
use crate::signals;

const LABEL: &str = "pipe";

pub(crate) fn run(args: &PipeArgs) -> Result<(), Failure> {
    signals::run(async |stop| {
        let party = Party::start(&args.endpoint)?;
        let whom = &args.whom;
        let (room, secret) = (whom.room.as_deref(), whom.secret.as_deref());
        let meeting = Meeting { to: whom.id, room, secret, from: args.from.as_slice(), part: Part::Either };
        party.run(&stop, &meeting, LABEL, async |met| join(&party, &met).await).await
    })
}

/// Passes everything both ways until both directions have ended.
async fn join(party: &Party, met: &Met) -> Result<(), Failure> {
    let unread = Notify::new();
    let sending = send(party, met.session, tokio::io::stdin(), &unread);
    let receiving = receive(party, met, tokio::io::stdout(), &unread);
    tokio::pin!(sending, receiving);
    tokio::select! {
        sent = &mut sending => {
            sent?;
            receiving.await
        }
        received = &mut receiving => received,
    }
}

/// Sends what is read, up to its end or until nobody reads it at the other side.
async fn send(
    party: &Party,
    session: SessionId,
    mut input: impl AsyncRead + Unpin,
    unread: &Notify,
) -> Result<(), Failure> {
    let mut message = vec![0; 1 + CHUNK];
    loop {
        let len = tokio::select! {
            len = input.read(&mut message[1..]) => len.map_err(|error| broken("input", &error))?,
            () = unread.notified() => 0,
        };
        let piece = if len == 0 { Piece::End } else { Piece::Data(&[]) };
        message[0] = piece.kind();
        match party.send(session, &message[..=len]).await {
            Ok(()) if len > 0 => {}
            // Whoever receives learns why it has ended.
            Ok(()) | Err(SendError::NotOpen | SendError::Closing) => return Ok(()),
            Err(error) => return Err(Failure::new(Code::Failed, error.to_string())),
        }
    }
}

/// Writes what is received, until both directions have ended and the session may be closed.
async fn receive(
    party: &Party,
    met: &Met,
    mut output: impl AsyncWrite + Unpin,
    unread: &Notify,
) -> Result<(), Failure> {
    let (mut gone, mut ended, mut done) = (false, false, false);
    loop {
        let message = match party.message(met.session).await {
            Err(_) if ended && !met.dialled => return Ok(()),
            message => message?,
        };
        match Piece::decode(&message)? {
            Piece::Data(_) if gone => {}
            Piece::Data(bytes) => {
                gone = write(&mut output, bytes).await?;
                if gone {
                    tell(party, met.session, Piece::Unread).await?;
                }
            }
            Piece::End => {
                ended = true;
                tell(party, met.session, Piece::Done).await?;
            }
            Piece::Unread => unread.notify_one(),
            Piece::Done => done = true,
        }
        if ended && done && met.dialled {
            return Ok(());
        }
    }
}

async fn tell(party: &Party, session: SessionId, piece: Piece<'_>) -> Result<(), Failure> {
    let told = party.send(session, &[piece.kind()]).await;
    told.map_err(|error| Failure::new(Code::Lost, format!("the session has ended: {error}")))
}

/// Writes; answers whether nobody reads any more.
async fn write(output: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<bool, Failure> {
    let written = async {
        output.write_all(bytes).await?;
        output.flush().await
    };
    match written.await {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(true),
        Err(error) => Err(broken("output", &error)),
    }
}

fn broken(which: &str, error: &io::Error) -> Failure {
    Failure::new(Code::Failed, format!("standard {which}: {error}"))
}
