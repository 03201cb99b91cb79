//! HTTP requests that break one rule each: the status of the answer and the typed error name it.

use switchboard::connect::Options;
use switchboard::link::http::HttpError;
use switchboard::machine::limits::Limits;
use switchboard::stack::stream::StreamError;
use switchboard::transport::DownReason;

use crate::common::options;
use crate::scene::{REQUEST, Scene, status};

#[track_caller]
fn is_refused(request: &[u8], rule: &HttpError, answer: u16) {
    is_refused_with(&Limits::default(), request, rule, answer);
}

/// The request is refused by `ws:` and by `wss:`, and held within its limits until then.
#[track_caller]
fn is_refused_with(limits: &Limits, request: &[u8], rule: &HttpError, answer: u16) {
    for kind in ["ws", "wss"] {
        let mut scene = Scene::with(kind, Options { limits: limits.clone(), ..options() });
        let port = scene.dial_open();
        scene.send(port, request);
        assert_eq!(scene.refusal().0, DownReason::Stream(StreamError::Http(rule.clone())), "{kind}");
        let told = scene.told(port);
        assert_eq!(status(&told), answer, "{kind}");
        let words = String::from_utf8(told).unwrap();
        assert!(words.ends_with(&format!("\r\n\r\n{rule}\n")), "{words}");
        // While a vector moves to a larger one there are both.
        scene.over(2 * limits.http_head);
    }
}

#[track_caller]
fn is_refused_with_line(line: &str, rule: &HttpError, answer: u16) {
    is_refused(with_line(line).as_bytes(), rule, answer);
}

fn with_line(line: &str) -> String {
    REQUEST.replace("\r\n\r\n", &format!("\r\n{line}\r\n\r\n"))
}

#[test]
fn a_head_of_1_mib_is_answered_by_431_at_the_limit() {
    let head = with_line(&format!("X: {}", "x".repeat(1 << 20)));
    is_refused(head.as_bytes(), &HttpError::HeadTooLarge { limit: 16 * 1024 }, 431);
}

#[test]
fn a_head_with_10_000_headers_is_too_large() {
    is_refused(with_line(&"a:\r\n".repeat(9_999)).as_bytes(), &HttpError::HeadTooLarge { limit: 16 * 1024 }, 431);
}

#[test]
fn ten_thousand_headers_are_too_many_where_they_are_not_too_large() {
    let limits = Limits { http_head: 64 * 1024, ..Limits::default() };
    let head = REQUEST.replace("\r\n\r\n", &format!("\r\n{}\r\n", "a:\r\n".repeat(10_000)));
    is_refused_with(&limits, head.as_bytes(), &HttpError::TooManyHeaders { limit: 64 }, 431);
}

#[test]
fn one_header_more_than_allowed_is_too_many() {
    let head = REQUEST.replace("\r\n\r\n", &format!("\r\n{}\r\n", "a:\r\n".repeat(60)));
    is_refused(head.as_bytes(), &HttpError::TooManyHeaders { limit: 64 }, 431);
}

#[test]
fn a_bare_line_feed_is_refused() {
    is_refused(REQUEST.replacen("\r\n", "\n", 1).as_bytes(), &HttpError::LineEnd, 400);
}

#[test]
fn a_bare_carriage_return_is_refused() {
    is_refused(REQUEST.replacen("\r\n", "\rX", 1).as_bytes(), &HttpError::LineEnd, 400);
}

#[test]
fn two_lengths_are_refused_even_if_they_are_equal() {
    is_refused_with_line("Content-Length: 0\r\nContent-Length: 0", &HttpError::TwoLengths, 400);
}

#[test]
fn a_length_beside_an_encoding_is_refused() {
    is_refused_with_line("Content-Length: 5\r\nTransfer-Encoding: chunked", &HttpError::LengthAndEncoding, 400);
}

#[test]
fn a_body_is_refused() {
    is_refused_with_line("Content-Length: 5", &HttpError::BodyAnnounced, 400);
}

#[test]
fn two_hosts_are_refused() {
    is_refused_with_line("Host: other.test", &HttpError::HostTwice, 400);
}

#[test]
fn two_keys_are_refused() {
    is_refused_with_line("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", &HttpError::KeyTwice, 400);
}

#[test]
fn another_method_is_not_allowed() {
    is_refused(REQUEST.replacen("GET", "POST", 1).as_bytes(), &HttpError::Method("POST".to_owned()), 405);
}

#[test]
fn another_version_of_http_is_not_supported() {
    is_refused(REQUEST.replacen("HTTP/1.1", "HTTP/1.0", 1).as_bytes(), &HttpError::Version, 505);
}

#[test]
fn another_version_of_websocket_is_told_which_one_is_spoken() {
    is_refused(REQUEST.replacen("Version: 13", "Version: 8", 1).as_bytes(), &HttpError::WebSocketVersion, 426);
}

#[test]
fn what_follows_a_refused_head_is_not_looked_at() {
    let twice = [REQUEST.replacen("GET", "PUT", 1), REQUEST.to_owned()].concat();
    is_refused(twice.as_bytes(), &HttpError::Method("PUT".to_owned()), 405);
}
