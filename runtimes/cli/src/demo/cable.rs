//! A wire that can be killed: a TCP forwarder on 127.0.0.1.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a cable does with what is put into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It passes it.
    Whole,
    /// It holds it without a word: nobody is told that it is dead.
    Dead,
    /// It has closed all its connections, and closes those that are made.
    Cut,
}

/// A way to one address. It ends with its value.
#[derive(Debug)]
pub(super) struct Cable {
    pub(super) address: SocketAddr,
    state: watch::Sender<State>,
    passed: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Cable {
    pub(super) async fn lay(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (state, watched) = watch::channel(State::Whole);
        let passed = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(accept(listener, target, watched, passed.clone()));
        Ok(Self { address, state, passed, task })
    }

    pub(super) fn set(&self, state: State) {
        self.state.send_replace(state);
    }

    /// How many bytes it has passed, both ways.
    pub(super) fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.set(State::Cut);
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, state: watch::Receiver<State>, passed: Arc<AtomicU64>) {
    while let Ok((near, _)) = listener.accept().await {
        if *state.borrow() != State::Cut {
            tokio::spawn(connect(near, target, state.clone(), passed.clone()));
        }
    }
}

async fn connect(near: TcpStream, target: SocketAddr, state: watch::Receiver<State>, passed: Arc<AtomicU64>) {
    let Ok(far) = TcpStream::connect(target).await else { return };
    _ = near.set_nodelay(true).and_then(|()| far.set_nodelay(true));
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let mut cut = state.clone();
    let there = pass(near_in, far_out, state.clone(), &passed);
    let back = pass(far_in, near_out, state, &passed);
    tokio::select! {
        _ = cut.wait_for(|state| *state == State::Cut) => {}
        _ = async { tokio::join!(there, back) } => {}
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<State>,
    passed: &AtomicU64,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let len = from.read(&mut buffer).await?;
        if len == 0 {
            return to.shutdown().await;
        }
        if state.wait_for(|state| *state != State::Dead).await.is_err() {
            return Ok(());
        }
        to.write_all(&buffer[..len]).await?;
        passed.fetch_add(len as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_dead_cable_holds_what_a_whole_one_passes() {
        let (cable, mut near, mut far) = laid().await;
        near.write_all(b"one").await.unwrap();
        let mut got = [0; 3];
        far.read_exact(&mut got).await.unwrap();
        assert_eq!((&got, cable.passed()), (b"one", 3));
        cable.set(State::Dead);
        near.write_all(b"two").await.unwrap();
        assert!(timeout(Duration::from_millis(30), far.read_exact(&mut got)).await.is_err());
        cable.set(State::Whole);
        far.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"two");
    }

    #[tokio::test]
    async fn a_cut_cable_ends_its_connections_and_makes_none() {
        let (cable, mut near, mut far) = laid().await;
        cable.set(State::Cut);
        let mut rest = [0; 1];
        assert_eq!(far.read(&mut rest).await.unwrap_or(0), 0);
        assert_eq!(near.read(&mut rest).await.unwrap_or(0), 0);
        let mut next = TcpStream::connect(cable.address).await.unwrap();
        assert_eq!(next.read(&mut rest).await.unwrap_or(0), 0);
    }

    async fn laid() -> (Cable, TcpStream, TcpStream) {
        let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cable = Cable::lay(target.local_addr().unwrap()).await.unwrap();
        let near = TcpStream::connect(cable.address).await.unwrap();
        let (far, _) = target.accept().await.unwrap();
        (cable, near, far)
    }
}
