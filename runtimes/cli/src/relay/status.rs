//! The relay's status over HTTP/1.1: `GET /metrics` and `GET /status`, one request a connection.
//!
//! Whoever asks is not trusted: heads are bounded in size and time, connections in number, and answers are short.
//! Nothing that is asked changes anything.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Connections at a time; further ones wait to be accepted.
const CONNECTIONS: usize = 16;
/// The longest head of a request, in bytes, and its most fields.
const HEAD: usize = 8 * 1024;
const FIELDS: usize = 64;
/// The time from the connection to its end.
const TIME: Duration = Duration::from_secs(5);

/// What can be asked for, as it is at the time.
pub(crate) trait Pages: Send + Sync + 'static {
    /// In the Prometheus text format 0.0.4.
    fn metrics(&self) -> String;
    /// One JSON object.
    fn status(&self) -> String;
}

/// A listener that answers.
pub(crate) struct Status {
    listener: TcpListener,
}

impl Status {
    pub(crate) async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await? })
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until it is dropped.
    pub(crate) async fn serve(self, pages: Arc<impl Pages>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let Ok((stream, _)) = self.listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let pages = pages.clone();
            tokio::spawn(async move {
                _ = timeout(TIME, answer(stream, &*pages)).await;
                drop(place);
            });
        }
    }
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, pages: &impl Pages) -> io::Result<()> {
    let response = match read_head(&mut stream).await? {
        Some(head) => respond(&head, pages),
        None => refusal("431 Request Header Fields Too Large"),
    };
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await?;
    // A reset because of unread bytes could overtake the answer.
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// Reads up to the empty line; `None` if the head is too long.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if head.len() >= HEAD {
            return Ok(None);
        }
        let mut piece = [0; 1024];
        let len = stream.read(&mut piece).await?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&piece[..len]);
    }
    Ok(Some(head))
}

fn respond(head: &[u8], pages: &impl Pages) -> String {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let Ok(httparse::Status::Complete(_)) = request.parse(head) else { return refusal("400 Bad Request") };
    let path = request.path.unwrap_or_default().split('?').next().unwrap_or_default();
    match (request.method.unwrap_or_default(), path) {
        (method @ ("GET" | "HEAD"), "/metrics") => {
            page("200 OK", "text/plain; version=0.0.4; charset=utf-8", &pages.metrics(), method == "GET")
        }
        (method @ ("GET" | "HEAD"), "/status") => page("200 OK", "application/json", &pages.status(), method == "GET"),
        (_, "/metrics" | "/status") => refusal("405 Method Not Allowed\r\nAllow: GET, HEAD"),
        _ => refusal("404 Not Found"),
    }
}

fn refusal(status: &str) -> String {
    page(status, "text/plain; charset=utf-8", "There are /metrics and /status.\n", true)
}

fn page(status: &str, kind: &str, body: &str, with_body: bool) -> String {
    let len = body.len();
    let shown = if with_body { body } else { "" };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n{shown}"
    )
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn metrics_and_status_are_served_and_nothing_else() {
        let address = serving().await;
        let metrics = ask(address, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(metrics.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"), "{metrics}");
        assert!(metrics.ends_with("\r\n\r\nlinks 1\n") && metrics.contains("Content-Length: 8\r\n"), "{metrics}");
        assert!(ask(address, "GET /status?x=y HTTP/1.0\r\n\r\n").await.ends_with("\r\n\r\n{\"links\":1}"));
        assert!(ask(address, "HEAD /status HTTP/1.1\r\n\r\n").await.ends_with("\r\n\r\n"));
        assert!(ask(address, "GET / HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 404 "));
        assert!(ask(address, "POST /status HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 405 "));
        assert!(ask(address, "nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
    }

    #[tokio::test]
    async fn a_head_without_an_end_is_refused() {
        let endless = format!("GET /status HTTP/1.1\r\n{}", "X: y\r\n".repeat(2000));
        assert!(ask(serving().await, &endless).await.starts_with("HTTP/1.1 431 "));
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_for_nothing_is_let_go_and_does_not_keep_others_out() {
        let address = serving().await;
        let mut idle = Vec::new();
        for _ in 0..CONNECTIONS {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        assert!(ask(address, "GET /status HTTP/1.1\r\n\r\n").await.ends_with("{\"links\":1}"));
    }

    struct Fixed;

    impl Pages for Fixed {
        fn metrics(&self) -> String {
            "links 1\n".to_owned()
        }

        fn status(&self) -> String {
            "{\"links\":1}".to_owned()
        }
    }

    async fn serving() -> SocketAddr {
        let status = Status::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = status.address().unwrap();
        tokio::spawn(status.serve(Arc::new(Fixed)));
        address
    }

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        response
    }
}
