//! As much of WebSocket as the load needs: prepared frames, and a blocking upgrade.

use std::io::{Read, Write};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A message as a client sends it.
pub fn masked(payload: &[u8]) -> Vec<u8> {
    let mut frame = header(payload.len(), 0x80);
    frame.extend(KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// The same message as a server sends it.
pub fn bare(payload: &[u8]) -> Vec<u8> {
    let mut frame = header(payload.len(), 0);
    frame.extend(payload);
    frame
}

/// A payload in which no part is like another.
pub fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + at / 256) as u8).collect()
}

/// Upgrades a connection; the server says nothing of its own after it.
pub fn upgrade(stream: &mut (impl Read + Write + ?Sized)) {
    let request = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("a server takes a request");
    let (mut response, mut chunk) = (Vec::new(), [0; 1024]);
    while !response.ends_with(b"\r\n\r\n") {
        let size = stream.read(&mut chunk).expect("a server answers");
        assert!(size > 0, "the server ended the connection during the upgrade");
        response.extend(&chunk[..size]);
    }
    assert!(response.starts_with(b"HTTP/1.1 101 "), "refused: {}", String::from_utf8_lossy(&response));
}

fn header(len: usize, mask: u8) -> Vec<u8> {
    let mut header = vec![0x82];
    match len {
        0..=125 => header.push(mask | len as u8),
        126..=0xffff => {
            header.push(mask | 126);
            header.extend((len as u16).to_be_bytes());
        }
        _ => {
            header.push(mask | 127);
            header.extend((len as u64).to_be_bytes());
        }
    }
    header
}
