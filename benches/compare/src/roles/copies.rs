//! A file moved by `tokio::io::copy`. The file lies in memory, so reading it never waits, and it is read and written
//! where the copying task runs: tokio's own files would go through other threads.

use std::fs::File;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::{listen, runtime, say};

pub fn receive(path: &str) {
    runtime().block_on(async {
        let mut stream = accept().await;
        let mut file = InMemory(File::create(path).expect("a file can be made"));
        tokio::io::copy(&mut stream, &mut file).await.expect("a file can be copied");
        say("received");
        listen();
    });
}

pub fn forward(to: &str) {
    runtime().block_on(async {
        let mut out = TcpStream::connect(to).await.expect("the receiver accepts");
        let mut stream = accept().await;
        tokio::io::copy(&mut stream, &mut out).await.expect("a stream can be copied");
        drop(out);
        listen();
    });
}

pub fn send(to: &str, path: &str) {
    runtime().block_on(async {
        let mut stream = TcpStream::connect(to).await.expect("the forwarder accepts");
        let mut file = InMemory(File::open(path).expect("the file can be read"));
        say("open");
        listen();
        tokio::io::copy(&mut file, &mut stream).await.expect("a file can be copied");
        drop(stream);
        say("sent");
        listen();
    });
}

async fn accept() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    say(&listener.local_addr().expect("a listener has an address").to_string());
    listener.accept().await.expect("a client connects").0
}

/// A file that is read and written without waiting.
struct InMemory(File);

impl AsyncRead for InMemory {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let size = self.0.read(buf.initialize_unfilled());
        Poll::Ready(size.map(|size| buf.advance(size)))
    }
}

impl AsyncWrite for InMemory {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.0.write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
