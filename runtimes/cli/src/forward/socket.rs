//! One TCP connection of a forwarding: a task that reads and writes it, with credit for both directions.

use std::io;
use std::sync::Arc;

use switchboard::hub::SessionId;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::message::{CHUNK, Reset, StreamId};
use super::mux::WINDOW;
use super::tunnel::Teller;

/// What a connection tells.
#[derive(Debug)]
pub(crate) enum News {
    /// Bytes for the other side.
    Data(Vec<u8>),
    /// No more bytes follow.
    Finished,
    /// So many bytes have been written.
    Consumed(u64),
    /// It has broken, or never stood.
    Broken(Reset),
}

/// The connection's end on our side; dropped, it is gone.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Pieces to write; empty: the end. What waits is bounded by the stream's window.
    pieces: UnboundedSender<Vec<u8>>,
    credit: Arc<Semaphore>,
    task: JoinHandle<()>,
}

impl Connection {
    /// Tends a connection that `connect` brings about.
    pub(crate) fn tend(
        of: (SessionId, StreamId),
        connect: impl Future<Output = io::Result<TcpStream>> + Send + 'static,
        teller: Teller,
    ) -> Self {
        let (pieces, to_write) = unbounded_channel();
        let credit = Arc::new(Semaphore::new(WINDOW as usize));
        let tending = Tending { of, teller, credit: credit.clone() };
        Self { pieces, credit, task: tokio::spawn(tending.run(connect, to_write)) }
    }

    pub(crate) fn write(&self, bytes: &[u8]) {
        _ = self.pieces.send(bytes.to_vec());
    }

    pub(crate) fn finish(&self) {
        _ = self.pieces.send(Vec::new());
    }

    pub(crate) fn grant(&self, bytes: u64) {
        self.credit.add_permits(bytes as usize);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Tending {
    of: (SessionId, StreamId),
    teller: Teller,
    credit: Arc<Semaphore>,
}

impl Tending {
    async fn run(self, connect: impl Future<Output = io::Result<TcpStream>>, to_write: UnboundedReceiver<Vec<u8>>) {
        let Ok(socket) = connect.await else { return self.tell(News::Broken(Reset::Unreachable)).await };
        _ = socket.set_nodelay(true);
        let (from, to) = socket.into_split();
        if tokio::try_join!(self.read(from), self.write(to, to_write)).is_err() {
            self.tell(News::Broken(Reset::Broken)).await;
        }
    }

    /// Reads no more than the other side has room for.
    async fn read(&self, mut from: impl AsyncRead + Unpin) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK];
        loop {
            let most = self.credit.available_permits().clamp(1, CHUNK);
            let Ok(permits) = self.credit.acquire_many(most as u32).await else { return Ok(()) };
            let len = from.read(&mut buffer[..most]).await?;
            permits.forget();
            self.credit.add_permits(most - len);
            if len == 0 {
                self.tell(News::Finished).await;
                return Ok(());
            }
            self.tell(News::Data(buffer[..len].to_vec())).await;
        }
    }

    async fn write(&self, mut to: impl AsyncWrite + Unpin, mut pieces: UnboundedReceiver<Vec<u8>>) -> io::Result<()> {
        while let Some(piece) = pieces.recv().await {
            if piece.is_empty() {
                break;
            }
            to.write_all(&piece).await?;
            self.tell(News::Consumed(piece.len() as u64)).await;
        }
        to.shutdown().await
    }

    async fn tell(&self, news: News) {
        _ = self.teller.send((self.of.0, self.of.1, news)).await;
    }
}
