//! tokio-tungstenite, as its users write it, each direction a task.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

use super::{obey, runtime, say};
use crate::websocket;

/// What becomes of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To the partner by `send`, which flushes each.
    Send,
    /// To the partner by `StreamExt::forward`, which flushes when nothing more is there.
    Forward,
    /// Back.
    Echo,
}

type Link = WebSocketStream<TcpStream>;

pub fn serve(way: Way) {
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        say(&listener.local_addr().expect("a listener has an address").to_string());
        let mut single = None;
        loop {
            let link = accept(&listener).await;
            match single.take() {
                _ if way == Way::Echo => _ = tokio::spawn(echo(link)),
                None => single = Some(link),
                Some(partner) => pair(partner, link, way),
            }
        }
    });
}

pub fn dial(url: &str) {
    let address: SocketAddr = url.trim_start_matches("ws://").parse().expect("the string holds an address");
    let payload = websocket::payload(64);
    let runtime = runtime();
    obey(|connections| {
        runtime.block_on(async {
            for _ in 0..connections {
                connection(address, url, &payload).await;
            }
        });
    });
}

async fn connection(address: SocketAddr, url: &str, payload: &[u8]) {
    let stream = TcpStream::connect(address).await.expect("the server accepts");
    stream.set_nodelay(true).expect("a socket has this option");
    let (mut link, _) = client_async(url, stream).await.expect("the server upgrades");
    link.send(Message::binary(payload.to_vec())).await.expect("a message is sent");
    let back = link.next().await.expect("a message comes back").expect("and is one");
    assert_eq!(&back.into_data()[..], payload, "a message has changed under way");
    link.close(None).await.expect("a close is sent");
    while link.next().await.is_some() {}
}

async fn accept(listener: &TcpListener) -> Link {
    let (stream, _) = listener.accept().await.expect("a client connects");
    stream.set_nodelay(true).expect("a socket has this option");
    accept_async(stream).await.expect("a client upgrades")
}

fn pair(a: Link, b: Link, way: Way) {
    let ((to_a, from_a), (to_b, from_b)) = (a.split(), b.split());
    for (mut from, mut to) in [(from_a, to_b), (from_b, to_a)] {
        tokio::spawn(async move {
            if way == Way::Forward {
                _ = from.forward(to).await;
                return;
            }
            while let Some(Ok(message)) = from.next().await {
                if to.send(message).await.is_err() {
                    return;
                }
            }
        });
    }
}

async fn echo(mut link: Link) {
    while let Some(Ok(message)) = link.next().await {
        if message.is_binary() && link.send(message).await.is_err() {
            return;
        }
    }
}
