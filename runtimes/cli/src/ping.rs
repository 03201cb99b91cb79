//! `ping`, and `id`.

use std::time::{Duration, Instant};

use switchboard::hub::SessionId;
use switchboard_tokio::environment::{Environment, secret_key};

use crate::args::{IdArgs, PingArgs};
use crate::meeting::{Meeting, Part};
use crate::outcome::{Code, Failure};
use crate::party::{PING, Party};
use crate::{path, report, signals};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn id(args: &IdArgs) -> Result<(), Failure> {
    let file = args.key.clone().map_or_else(|| Environment::of_process().file("key"), Ok)?;
    report::output(&secret_key(&file)?.id().to_string())
}

pub(crate) fn run(args: &PingArgs) -> Result<(), Failure> {
    signals::run(async |stop| {
        let party = Party::start(&args.endpoint)?;
        let meeting = Meeting { to: Some(args.id), room: None, secret: None, from: &[], part: Part::Caller };
        party.run(&stop, &meeting, PING, async |met| ping(&party, met.session, args).await).await
    })
}

async fn ping(party: &Party, session: SessionId, args: &PingArgs) -> Result<(), Failure> {
    let mut times = Vec::new();
    for number in 0..args.count {
        if number > 0 {
            tokio::time::sleep(args.interval).await;
        }
        if let Some(time) = ask(party, session, number).await? {
            tell(party, session, args, (number, time))?;
            times.push(time);
        }
    }
    let lost = args.count as usize - times.len();
    let Some((least, most)) = times.iter().min().zip(times.iter().max()) else {
        return Err(Failure::new(Code::Unreachable, "no answer came"));
    };
    let average = times.iter().sum::<Duration>() / times.len() as u32;
    let text = format!(
        "{} sent, {lost} without an answer; least {}, average {}, most {}",
        args.count,
        ms(*least),
        ms(average),
        ms(*most)
    );
    if args.endpoint.json { Ok(()) } else { report::output(&text) }
}

/// Measures one round trip; nothing if no answer comes.
async fn ask(party: &Party, session: SessionId, number: u32) -> Result<Option<Duration>, Failure> {
    let (question, start) = (number.to_be_bytes(), Instant::now());
    let sent = party.send(session, &question).await;
    sent.map_err(|error| Failure::new(Code::Lost, error.to_string()))?;
    let answer = async {
        while party.message(session).await? != question {}
        Ok(start.elapsed())
    };
    tokio::time::timeout(PATIENCE, answer).await.ok().transpose()
}

fn tell(party: &Party, session: SessionId, args: &PingArgs, (number, time): (u32, Duration)) -> Result<(), Failure> {
    let Some(explanation) = party.explain(session) else { return Ok(()) };
    if args.endpoint.json {
        let mut answer = path::parts(&explanation);
        (answer["number"], answer["ms"]) = (number.into(), (time.as_secs_f64() * 1e3).into());
        return report::output(&answer.to_string());
    }
    report::output(&format!("answer {} from {}: {}; {explanation}", number + 1, args.id.id.short(), ms(time)))
}

fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}
