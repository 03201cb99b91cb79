//! What the last handle leaves behind: nothing. Alone in its process, as it counts descriptors.
#![cfg(target_os = "linux")]

mod party;

use party::{Manner, Party, listen, open, soon};
use switchboard::machine::port::PortSpec;
use switchboard_tokio::spawn;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("procfs").count()
}

#[tokio::test]
async fn dropping_the_last_handle_closes_all_sockets_and_ends_the_task() {
    let before = descriptors();
    let (server, client) = (spawn(Party::default()), spawn(Party::new(Manner::Swallow)));
    let addr = listen(&server).await;
    open(&client, PortSpec::Dial(addr)).await;
    let mut peer = soon(TcpStream::connect(addr)).await.expect("it listens");
    for _ in 0..2 {
        soon(server.next()).await.expect("a connection");
    }
    assert_eq!(descriptors(), before + 5);

    drop(server.clone());
    assert_eq!(descriptors(), before + 5);
    drop((server, client));
    assert_eq!(descriptors(), before + 1);
    assert!(matches!(soon(peer.read(&mut [0])).await, Ok(0) | Err(_)));
    drop(peer);
    assert_eq!(descriptors(), before);
    let runtime = tokio::runtime::Handle::current();
    soon(async {
        while runtime.metrics().num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
