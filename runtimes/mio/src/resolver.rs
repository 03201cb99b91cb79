//! Name look-ups on one thread of their own, since the system's look-up blocks.
//!
//! The thread starts with the first question. Whoever drops the resolver does not wait for it: a look-up under
//! way ends in its own time, finds nobody to answer, and holds nothing of the event loop meanwhile.

use std::collections::VecDeque;
use std::io;
use std::net::ToSocketAddrs;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread;

use switchboard::machine::ids::PortId;
use switchboard::machine::port::{Addrs, Name, PortChange, PortError};

use crate::sockets::{Remote, lock};

/// Questions that wait for their turn; what comes above that fails at once.
const WAITING: usize = 64;
/// Addresses of one name; the rest is left out.
const ADDRESSES: usize = 16;

pub(crate) struct Resolver {
    desk: Arc<Desk>,
}

#[derive(Default)]
struct Desk {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    questions: VecDeque<(PortId, Name)>,
    abandoned: bool,
}

impl Resolver {
    pub(crate) fn start(remote: &Arc<Remote>) -> io::Result<Self> {
        let desk = Arc::new(Desk::default());
        let (theirs, remote) = (Arc::clone(&desk), Arc::downgrade(remote));
        thread::Builder::new().name("resolver".into()).spawn(move || theirs.serve(&remote))?;
        Ok(Self { desk })
    }

    pub(crate) fn ask(&self, port: PortId, name: Name) -> Result<(), PortError> {
        let mut queue = lock(&self.desk.queue);
        if queue.questions.len() >= WAITING {
            return Err(PortError::Exhausted);
        }
        queue.questions.push_back((port, name));
        self.desk.changed.notify_one();
        Ok(())
    }

    pub(crate) fn cancel(&self, port: PortId) {
        lock(&self.desk.queue).questions.retain(|(asked, _)| *asked != port);
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        lock(&self.desk.queue).abandoned = true;
        self.desk.changed.notify_one();
    }
}

impl Desk {
    fn serve(&self, remote: &Weak<Remote>) {
        while let Some((port, name)) = self.next() {
            let answer = look_up(&name);
            let Some(remote) = remote.upgrade() else { return };
            remote.answer(port, answer);
        }
    }

    fn next(&self) -> Option<(PortId, Name)> {
        let queue = lock(&self.queue);
        let idle = |queue: &mut Queue| queue.questions.is_empty() && !queue.abandoned;
        let mut queue = self.changed.wait_while(queue, idle).unwrap_or_else(PoisonError::into_inner);
        if queue.abandoned {
            return None;
        }
        queue.questions.pop_front()
    }
}

fn look_up(name: &str) -> PortChange {
    let mut addrs = Addrs::new();
    for address in (name, 0).to_socket_addrs().into_iter().flatten() {
        if addrs.len() < ADDRESSES && !addrs.contains(&address.ip()) {
            addrs.push(address.ip());
        }
    }
    if addrs.is_empty() { PortChange::Failed(PortError::NameNotFound) } else { PortChange::Resolved(addrs) }
}
