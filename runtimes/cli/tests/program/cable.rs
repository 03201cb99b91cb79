//! A TCP forwarder on 127.0.0.1 that can be harmed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A way to one address, as long as the runtime that it was laid in lives.
pub(crate) struct Cable {
    pub(crate) address: SocketAddr,
    harm: watch::Sender<Harm>,
    passed: Arc<AtomicU64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Harm {
    /// What is put in is held.
    silent: bool,
    /// How often its connections were reset.
    resets: u32,
}

impl Cable {
    pub(crate) async fn lay(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (harm, watched) = watch::channel(Harm::default());
        let passed = Arc::new(AtomicU64::new(0));
        tokio::spawn(accept(listener, target, watched, passed.clone()));
        Self { address, harm, passed }
    }

    /// Resets the connections that it has, and makes new ones.
    pub(crate) fn reset(&self) {
        self.harm.send_modify(|harm| harm.resets += 1);
    }

    /// Passes nothing any more, and tells nobody.
    pub(crate) fn fall_silent(&self) {
        self.harm.send_modify(|harm| harm.silent = true);
    }

    /// How many bytes it has passed, both ways.
    pub(crate) fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, harm: watch::Receiver<Harm>, passed: Arc<AtomicU64>) {
    while let Ok((near, _)) = listener.accept().await {
        tokio::spawn(connect(near, target, harm.clone(), passed.clone()));
    }
}

async fn connect(near: TcpStream, target: SocketAddr, harm: watch::Receiver<Harm>, passed: Arc<AtomicU64>) {
    let Ok(far) = TcpStream::connect(target).await else { return };
    for end in [&near, &far] {
        _ = end.set_nodelay(true).and_then(|()| end.set_zero_linger());
    }
    let (before, mut reset) = (harm.borrow().resets, harm.clone());
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let both =
        async { tokio::try_join!(pass(near_in, far_out, &harm, &passed), pass(far_in, near_out, &harm, &passed)) };
    tokio::select! {
        _ = reset.wait_for(|harm| harm.resets > before) => {}
        _ = both => {}
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    harm: &watch::Receiver<Harm>,
    passed: &AtomicU64,
) -> io::Result<()> {
    let (mut buffer, mut harm) = (vec![0; 64 * 1024], harm.clone());
    loop {
        let len = from.read(&mut buffer).await?;
        _ = harm.wait_for(|harm| !harm.silent).await;
        if len == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..len]).await?;
        passed.fetch_add(len as u64, Ordering::Relaxed);
    }
}
