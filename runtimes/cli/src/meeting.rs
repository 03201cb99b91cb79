//! How two endpoints find each other: one dials the other's id, or both join a room.

use switchboard::hub::SessionId;
use switchboard::wire::identity::{Address, EndpointId};

use crate::outcome::Failure;
use crate::party::Party;

/// Whom to meet.
#[derive(Debug)]
pub(crate) struct Meeting<'a> {
    /// Whom to dial.
    pub(crate) to: Option<Address>,
    /// Where to meet.
    pub(crate) room: Option<&'a str>,
    pub(crate) secret: Option<&'a str>,
    /// Who may dial us; nobody: everybody.
    pub(crate) from: &'a [EndpointId],
}

/// A session with whom was met.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Met {
    pub(crate) session: SessionId,
    /// Whether it was us who dialled.
    pub(crate) dialled: bool,
}

impl Meeting<'_> {
    /// Dials, or waits for one who does.
    pub(crate) async fn meet(&self, party: &Party, label: &str) -> Result<Met, Failure> {
        match self.to {
            Some(to) => Ok(Met { session: party.dial(to, label).await?, dialled: true }),
            None => {
                party.announce().await?;
                let (session, _) = party.wait_for(label, self.from).await?;
                Ok(Met { session, dialled: false })
            }
        }
    }
}
