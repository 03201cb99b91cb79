//! Worlds of endpoints, each as its application sees it.

use std::time::Duration;

use switchboard::connect::{Endpoint, Options};
use switchboard::hub::channel::{Channel, ChannelId};
use switchboard::hub::{Event, Policy, Quotas, ServersFor, SessionId};
use switchboard::link::noise::SecretKey;
use switchboard::machine::rng::Rng;
use switchboard::machine::time::Instant;
use switchboard::sim::{HostId, World};
use switchboard::wire::identity::Address;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What an endpoint of a world is made from.
#[derive(Clone)]
pub(crate) struct Recipe {
    pub(crate) name: &'static str,
    pub(crate) key: u64,
    pub(crate) relays: Vec<String>,
    pub(crate) listens: Vec<String>,
    pub(crate) policy: Policy,
    pub(crate) quotas: Quotas,
    pub(crate) options: Options,
    pub(crate) servers_for: Option<ServersFor>,
    pub(crate) wants_servers: bool,
}

impl Recipe {
    pub(crate) fn new(name: &'static str, key: u64) -> Self {
        Self {
            name,
            key,
            relays: Vec::new(),
            listens: Vec::new(),
            policy: Policy::Closed,
            quotas: Quotas::default(),
            options: Options::default(),
            servers_for: None,
            wants_servers: false,
        }
    }

    /// An open relay on port 7000 of its host, for tcp.
    pub(crate) fn relay(name: &'static str, key: u64) -> Self {
        Self { policy: Policy::Open, listens: vec!["tcp:0.0.0.0:7000".into()], ..Self::new(name, key) }
    }

    pub(crate) fn over(mut self, string: &str) -> Self {
        self.relays.push(string.into());
        self
    }

    pub(crate) fn secret(&self) -> SecretKey {
        SecretKey::generate(&mut Rng::from_u64(self.key))
    }

    /// `life` tells the processes of one endpoint apart.
    pub(crate) fn build(&self, life: u64) -> Endpoint {
        let mut rng = Rng::from_u64(self.key << 32 | life);
        let mut builder = Endpoint::builder(self.secret())
            .options(self.options.clone())
            .relays_for(self.policy.clone(), self.quotas.clone());
        for relay in &self.relays {
            builder = builder.relay(relay);
        }
        if let Some(servers) = &self.servers_for {
            builder = builder.servers_for(servers.clone());
        }
        if self.wants_servers {
            builder = builder.wants_servers();
        }
        for listen in &self.listens {
            builder = builder.listen(listen);
        }
        builder.build(&mut rng).unwrap()
    }
}

/// One endpoint, and what it has told so far.
pub(crate) struct Party {
    pub(crate) host: HostId,
    pub(crate) recipe: Recipe,
    pub(crate) events: Vec<(Instant, Event)>,
    /// Whether it takes what comes.
    pub(crate) reads: bool,
    /// Whether it accepts whoever comes.
    pub(crate) accepts: bool,
    lives: u64,
}

impl Party {
    pub(crate) fn start(world: &mut World<Endpoint>, recipe: Recipe) -> Self {
        let host = world.host(recipe.name, recipe.build(1));
        world.act(host, |endpoint, cx| endpoint.start(cx));
        Self { host, recipe, events: Vec::new(), reads: true, accepts: true, lives: 1 }
    }

    /// Starts its process anew: another instance, nothing remembered.
    pub(crate) fn restart(&mut self, world: &mut World<Endpoint>) {
        self.lives += 1;
        world.reboot(self.host, self.recipe.build(self.lives));
        world.act(self.host, |endpoint, cx| endpoint.start(cx));
    }

    pub(crate) fn address(&self, world: &World<Endpoint>) -> Address {
        world.machine(self.host).address()
    }

    /// Takes what the endpoint has to tell, and accepts who comes if it accepts.
    pub(crate) fn look(&mut self, world: &mut World<Endpoint>) {
        world.events(self.host);
        while self.reads {
            let Some(event) = world.act(self.host, |endpoint, cx| endpoint.next(cx)) else { return };
            if let (Event::Incoming { session, .. }, true) = (&event, self.accepts) {
                world.act(self.host, |endpoint, cx| endpoint.accept(cx, *session));
            }
            self.events.push((world.now(), event));
        }
    }

    pub(crate) fn open(&self, world: &mut World<Endpoint>, to: impl Into<Address>, channels: &[Channel]) -> SessionId {
        let channels = channels.to_vec();
        world.act(self.host, |endpoint, cx| endpoint.open(cx, to, channels))
    }

    /// How many links to neighbours have come up.
    pub(crate) fn neighbours(&self) -> usize {
        self.filter(|event| matches!(event, Event::NeighbourUp { .. }).then_some(())).len()
    }

    /// The sessions that have opened, in order.
    pub(crate) fn opened(&self) -> Vec<SessionId> {
        self.filter(|event| if let Event::Opened { session, .. } = event { Some(*session) } else { None })
    }

    pub(crate) fn messages(&self, channel: ChannelId) -> Vec<Vec<u8>> {
        self.filter(|event| match event {
            Event::Message { channel: on, bytes, .. } if *on == channel => Some(bytes.clone()),
            _ => None,
        })
    }

    pub(crate) fn filter<T>(&self, pick: impl Fn(&Event) -> Option<T>) -> Vec<T> {
        self.events.iter().filter_map(|(_, event)| pick(event)).collect()
    }

    pub(crate) fn saw(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(|(_, event)| wanted(event))
    }
}

/// Runs until `done`, looking at all parties after each step.
#[track_caller]
pub(crate) fn run(
    world: &mut World<Endpoint>,
    parties: &mut [&mut Party],
    mut done: impl FnMut(&[&mut Party]) -> bool,
) {
    let result = world.run_until(
        |world| {
            for party in parties.iter_mut() {
                party.look(world);
            }
            done(parties)
        },
        PATIENCE,
    );
    if let Err(failure) = result {
        let said: Vec<_> = parties.iter().map(|party| format!("{}: {:#?}", party.recipe.name, party.events)).collect();
        panic!("{failure}\n{}", said.join("\n"));
    }
}

/// A relay, two endpoints that know it, and a session from the first to the second.
pub(crate) fn met(seed: u64, kind: &str, channels: &[Channel]) -> (World<Endpoint>, Party, Party, Party, SessionId) {
    let mut world = World::new(seed);
    let port = if kind.starts_with("ws") { "://0.0.0.0:7000/" } else { ":0.0.0.0:7000" };
    let recipe = Recipe { listens: vec![format!("{kind}{port}")], ..Recipe::relay("relay", 1) };
    let mut relay = Party::start(&mut world, recipe);
    world.name("relay.test", &[relay.host]);
    let string = format!("{kind}{}", port.replace("0.0.0.0", "relay.test"));
    let mut a = Party::start(&mut world, Recipe::new("a", 2).over(&string));
    let mut b = Party::start(&mut world, Recipe::new("b", 3).over(&string));
    run(&mut world, &mut [&mut relay, &mut a, &mut b], |parties| parties[0].neighbours() == 2);
    let to = b.address(&world);
    let session = a.open(&mut world, to.id, channels);
    run(&mut world, &mut [&mut relay, &mut a, &mut b], |parties| {
        !parties[1].opened().is_empty() && !parties[2].opened().is_empty()
    });
    (world, relay, a, b, session)
}
