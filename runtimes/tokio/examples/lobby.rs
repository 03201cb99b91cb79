//! Meets whoever is in the room "lobby", and says a word to each that comes: `lobby NAME`.
use switchboard::hub::channel::ChannelId;
use switchboard::hub::{Event, RoomEvent};
use switchboard_tokio::{Endpoint, environment};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "somebody".to_owned());
    let me = Endpoint::start(environment::builder()?)?;
    me.join("lobby", &name, None)?;
    while let Some(event) = me.next().await {
        match event {
            Event::Room { event: RoomEvent::Joined(members), .. } => println!("{} others are here", members.len()),
            Event::Room { event: RoomEvent::MemberJoined(member), .. } => {
                println!("{} comes in", member.name);
                let session = me.open(member.address).await?;
                me.send(session, ChannelId::declared(0), format!("welcome from {name}").as_bytes()).await?;
            }
            Event::Incoming { session, .. } => me.accept(session),
            Event::Message { bytes, .. } => println!("{}", String::from_utf8_lossy(&bytes)),
            _ => {}
        }
    }
    Ok(())
}
