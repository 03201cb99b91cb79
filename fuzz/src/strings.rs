//! Connection strings, proxies among them, and the masking of their secrets.

use switchboard::connect::{ConnectionString, Options, Registry, mask};

/// Any text as a string to dial, to listen on, and as the proxy to dial through.
pub fn connection_string(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    assert_eq!(mask(&mask(text)), mask(text), "masked twice");
    as_string(text);
    as_proxy(text);
    secret_in(text);
}

fn as_string(text: &str) {
    let registry = Registry::new();
    for result in [registry.dial(text, &Options::default()), registry.listen(text, &Options::default())] {
        if let Err(error) = result {
            assert!(!error.to_string().is_empty());
        }
    }
    let Ok(parsed) = ConnectionString::parse(text) else { return };
    assert!(text.to_ascii_lowercase().starts_with(parsed.kind()));
    assert!(parsed.parameters().is_empty() || text.ends_with(parsed.parameters()));
    if let Ok((host, port)) = parsed.host_port() {
        let written = if host.contains(':') { format!("x:[{host}]:{port}") } else { format!("x:{host}:{port}") };
        assert_eq!(ConnectionString::parse(&written).and_then(|again| again.host_port()), Ok((host, port)));
    }
    if let Ok((authority, path)) = parsed.url() {
        assert!(path.starts_with('/') && path.is_ascii());
        assert!(!authority.host.contains(['/', '?', '#', '@']));
    }
}

fn as_proxy(text: &str) {
    let options = Options { proxy: Some(text.to_owned()), ..Options::default() };
    let _ = Registry::new().dial("tcp:board.example:7000", &options);
}

/// What stands where a password stands is never shown, neither by an error nor by a string that is accepted.
fn secret_in(text: &str) {
    const SECRET: &str = "hunter2";
    if text.contains(SECRET) || text.chars().any(|c| c.is_control() || c.is_whitespace()) || text.len() > 1000 {
        return;
    }
    let proxy = format!("http://user:{text}{SECRET}@proxy.example:8080");
    let options = Options { proxy: Some(proxy.clone()), ..Options::default() };
    assert!(!mask(&proxy).contains(SECRET), "{proxy:?} is shown as {:?}", mask(&proxy));
    if let Err(error) = Registry::new().dial("tcp:board.example:7000", &options) {
        assert!(!error.to_string().contains(SECRET), "{error}");
    }
}
