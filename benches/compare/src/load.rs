//! The load on a forwarder: pairs of clients, the first of each sends and the second receives.
//!
//! Frames are prepared once and shared by all senders; what comes back is counted by its length. Whatever a receiver
//! has counted its sender sends anew, in one write, so that `window` messages of each pair are always under way.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::websocket;

/// Clients of one forwarder.
pub struct Load {
    poll: Poll,
    events: Events,
    senders: Vec<Sender>,
    receivers: Vec<Receiver>,
    window: usize,
    /// As many equal frames as are written at once, at most.
    prepared: Vec<u8>,
    sent_frame: usize,
    received_frame: Vec<u8>,
    chunk: Vec<u8>,
}

struct Sender {
    stream: TcpStream,
    owed: usize,
    /// Where in a frame it has stopped.
    at: usize,
}

struct Receiver {
    stream: TcpStream,
    /// What has come of a message that is not complete.
    part: usize,
    checked: bool,
}

impl Load {
    /// Connects `pairs` pairs of clients, one after the other, as the forwarder pairs them.
    pub fn connect(forwarder: SocketAddr, pairs: usize, window: usize, size: usize) -> Self {
        let payload = websocket::payload(size);
        let frame = websocket::masked(&payload);
        let poll = Poll::new().expect("the system has an event queue");
        let mut load = Self {
            poll,
            events: Events::with_capacity(1024),
            senders: Vec::new(),
            receivers: Vec::new(),
            window,
            prepared: frame.repeat(window.min(4 * 1024 * 1024 / frame.len()) + 1),
            sent_frame: frame.len(),
            received_frame: websocket::bare(&payload),
            chunk: vec![0; 512 * 1024],
        };
        for pair in 0..pairs {
            let stream = load.client(forwarder, 2 * pair);
            load.senders.push(Sender { stream, owed: 0, at: 0 });
            let stream = load.client(forwarder, 2 * pair + 1);
            load.receivers.push(Receiver { stream, part: 0, checked: false });
        }
        load
    }

    fn client(&self, forwarder: SocketAddr, index: usize) -> TcpStream {
        let mut stream = std::net::TcpStream::connect(forwarder).expect("a forwarder accepts");
        stream.set_nodelay(true).expect("a socket has this option");
        websocket::upgrade(&mut stream);
        stream.set_nonblocking(true).expect("a socket need not block");
        let mut stream = TcpStream::from_std(stream);
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(index), both).expect("the event queue takes a socket");
        stream
    }

    /// Keeps the windows full for that long, waits until all is back, and answers how many messages that were.
    pub fn run(&mut self, time: Duration) -> usize {
        let end = Instant::now() + time;
        let mut under_way = self.window * self.senders.len();
        let mut counted = 0;
        for pair in 0..self.senders.len() {
            self.senders[pair].owed = self.window * self.sent_frame;
            self.send(pair);
        }
        while under_way > 0 {
            self.poll.poll(&mut self.events, Some(Duration::from_secs(10))).expect("the event queue works");
            assert!(!self.events.is_empty(), "{under_way} messages have not come back");
            let goes_on = Instant::now() < end;
            let ready: Vec<usize> = self.events.iter().map(|event| event.token().0).collect();
            for index in ready {
                if index % 2 == 0 {
                    self.send(index / 2);
                    continue;
                }
                let messages = self.receive(index / 2);
                counted += messages;
                if goes_on {
                    self.senders[index / 2].owed += messages * self.sent_frame;
                    self.send(index / 2);
                } else {
                    under_way -= messages;
                }
            }
        }
        counted
    }

    fn send(&mut self, pair: usize) {
        let sender = &mut self.senders[pair];
        while sender.owed > 0 {
            let end = self.prepared.len().min(sender.at + sender.owed);
            match sender.stream.write(&self.prepared[sender.at..end]) {
                Ok(size) => {
                    sender.owed -= size;
                    sender.at = (sender.at + size) % self.sent_frame;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("a forwarder takes what is sent: {error}"),
            }
        }
    }

    /// How many messages have become complete.
    fn receive(&mut self, pair: usize) -> usize {
        let receiver = &mut self.receivers[pair];
        let mut messages = 0;
        loop {
            let size = match receiver.stream.read(&mut self.chunk) {
                Ok(0) => panic!("the forwarder has ended a connection"),
                Ok(size) => size,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return messages,
                Err(error) => panic!("what is forwarded can be received: {error}"),
            };
            receiver.check(&self.chunk[..size], &self.received_frame);
            receiver.part += size;
            messages += receiver.part / self.received_frame.len();
            receiver.part %= self.received_frame.len();
            if size < self.chunk.len() {
                return messages;
            }
        }
    }
}

impl Receiver {
    /// Of each receiver some whole messages are compared byte for byte.
    fn check(&mut self, chunk: &[u8], frame: &[u8]) {
        if self.checked {
            return;
        }
        let expected = frame.iter().cycle().skip(self.part);
        assert!(chunk.iter().eq(expected.take(chunk.len())), "a message has changed under way");
        self.checked = self.part + chunk.len() >= frame.len();
    }
}
