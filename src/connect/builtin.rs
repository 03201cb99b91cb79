//! The built-in types.

#![allow(clippy::needless_update, reason = "without the feature `tls` nothing is left to update")]

#[cfg(feature = "ws")]
use std::sync::Arc;

use super::{AnyTransport, ConnectError, ConnectionString, Options, Part, Registry, Role};
#[cfg(feature = "ws")]
use crate::link::http::{UpgradeRequest, UpgradeRules};
use crate::stack::dial::Target;
#[cfg(feature = "ws")]
use crate::stack::stream::Proxy;
use crate::stack::stream::{AcceptRecipe, DialRecipe};
#[cfg(feature = "turn")]
use crate::stack::turn_server::Listener;
use crate::transport::offline::Offline;
#[cfg(any(feature = "stun", feature = "turn"))]
use crate::transport::serve;
use crate::transport::stream::{Dialling, Listening};

pub(super) fn register(registry: &mut Registry) {
    registry.register("tcp", |string, role, options| tcp(string, role, options, false));
    #[cfg(feature = "tls")]
    registry.register("tls", |string, role, options| tcp(string, role, options, true));
    #[cfg(feature = "ws")]
    registry.register("ws", |string, role, options| websocket(string, role, options, false));
    #[cfg(all(feature = "ws", feature = "tls"))]
    registry.register("wss", |string, role, options| websocket(string, role, options, true));
    registry.register("pair", pair);
    registry.register("offline", offline);
    #[cfg(feature = "stun")]
    registry.register("stun", stun);
    #[cfg(feature = "turn")]
    registry.register("turn", |string, role, options| {
        turn(string, role, options, |_| Ok(vec![Listener::Udp, Listener::Tcp]))
    });
    #[cfg(all(feature = "turn", feature = "tls"))]
    registry.register("turns", |string, role, options| {
        turn(string, role, options, |options| {
            let identity = options.identity.clone();
            Ok(vec![Listener::Tls(identity.ok_or_else(|| ConnectError::NoIdentity { string: string.to_string() })?)])
        })
    });
}

fn tcp(string: &ConnectionString, role: Role, options: &Options, tls: bool) -> Result<AnyTransport, ConnectError> {
    let (host, port) = string.host_port()?;
    match role {
        Role::Listen => listening(string, &host, port, AcceptRecipe::default(), tls, options),
        Role::Dial => dialling(string, host, port, DialRecipe::default(), tls, options),
    }
}

#[cfg(feature = "ws")]
fn websocket(
    string: &ConnectionString,
    role: Role,
    options: &Options,
    tls: bool,
) -> Result<AnyTransport, ConnectError> {
    let (authority, path) = string.url()?;
    let standard = if tls { 443 } else { 80 };
    let port = authority.port.unwrap_or(standard);
    let host = authority.host;
    if role == Role::Listen {
        if path.contains('?') {
            return Err(string.malformed(Part::Path, "a listener's path has no query"));
        }
        let rules = UpgradeRules {
            path: (path != "/").then_some(path),
            subprotocols: options.subprotocols.clone(),
            origins: options.origins.clone(),
        };
        let recipe = AcceptRecipe { websocket: Some(Arc::new(rules)), ..AcceptRecipe::default() };
        return listening(string, &host, port, recipe, tls, options);
    }
    let request = UpgradeRequest {
        host_header: http_host(&host, port, standard),
        path_and_query: path,
        subprotocols: options.subprotocols.clone(),
        headers: options.headers.clone(),
    };
    let recipe = DialRecipe { websocket: Some(request), ..DialRecipe::default() };
    dialling(string, host, port, recipe, tls, options)
}

/// The `Host` field: without the port where it is the standard one (RFC 9110, section 7.2).
#[cfg(feature = "ws")]
fn http_host(host: &str, port: u16, standard: u16) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    if port == standard { host } else { format!("{host}:{port}") }
}

fn dialling(
    string: &ConnectionString,
    host: String,
    port: u16,
    recipe: DialRecipe,
    tls: bool,
    options: &Options,
) -> Result<AnyTransport, ConnectError> {
    if port == 0 {
        return Err(string.malformed(Part::Port, "port 0 can't be dialled"));
    }
    let mut recipe = recipe;
    #[cfg(feature = "tls")]
    if tls {
        let trust = options.trust.clone().ok_or_else(|| ConnectError::NoTrust { string: string.to_string() })?;
        recipe.tls = Some((trust, host.clone()));
    }
    let mut target = Target::Tcp { host, port };
    #[cfg(feature = "ws")]
    if let Some(proxy) = &options.proxy {
        target = through(proxy, target, &mut recipe)?;
    }
    let _ = (tls, &mut recipe, &mut target);
    Ok(Box::new(Dialling::new(target, recipe, options.reconnect, options.limits.clone())))
}

/// Puts the proxy's CONNECT first, and answers where the proxy is.
#[cfg(feature = "ws")]
fn through(proxy: &str, target: Target, recipe: &mut DialRecipe) -> Result<Target, ConnectError> {
    let parsed = ConnectionString::parse(proxy)?;
    let wrong = |rule| parsed.malformed(Part::Proxy, rule);
    if parsed.kind() != "http" {
        return Err(wrong("it must be http://[user:password@]host:port"));
    }
    let rest = parsed.parameters().strip_prefix("//").ok_or_else(|| wrong("`//` must follow the colon"))?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (user, authority) = match rest.rsplit_once('@') {
        Some((user, authority)) => (Some(user), authority),
        None => (None, rest),
    };
    let credentials = match user.map(|user| user.split_once(':')) {
        None => None,
        Some(Some((user, password))) => Some((user.to_owned(), password.to_owned())),
        Some(None) => return Err(wrong("a password must follow the user: user:password@")),
    };
    let (host, port) = ConnectionString::parse(&format!("http:{authority}"))?.host_port()?;
    recipe.proxy = Some(Proxy { target: target.to_string(), credentials });
    Ok(Target::Tcp { host, port })
}

fn listening(
    string: &ConnectionString,
    host: &str,
    port: u16,
    recipe: AcceptRecipe,
    tls: bool,
    options: &Options,
) -> Result<AnyTransport, ConnectError> {
    let mut recipe = recipe;
    #[cfg(feature = "tls")]
    if tls {
        let identity = options.identity.clone();
        recipe.tls = Some(identity.ok_or_else(|| ConnectError::NoIdentity { string: string.to_string() })?);
    }
    let _ = (string, tls, &mut recipe);
    Ok(Box::new(Listening::new(host, port, recipe, options.limits.clone())))
}

fn pair(string: &ConnectionString, role: Role, options: &Options) -> Result<AnyTransport, ConnectError> {
    refuse_listen(string, role)?;
    if string.parameters().is_empty() {
        return Err(string.malformed(Part::Name, "it is missing: write pair:name"));
    }
    let target = Target::Host(string.to_string());
    // The other end may come much later, so that it is no handshake that could take too long.
    let limits = crate::machine::limits::Limits { handshake_time: std::time::Duration::MAX, ..options.limits.clone() };
    Ok(Box::new(Dialling::new(target, DialRecipe::default(), options.reconnect, limits)))
}

fn offline(string: &ConnectionString, role: Role, _: &Options) -> Result<AnyTransport, ConnectError> {
    refuse_listen(string, role)?;
    Ok(Box::new(Offline::new()))
}

#[cfg(feature = "stun")]
fn stun(string: &ConnectionString, role: Role, _: &Options) -> Result<AnyTransport, ConnectError> {
    Ok(Box::new(serve::stun(served_at(string, role)?)))
}

#[cfg(feature = "turn")]
fn turn(
    string: &ConnectionString,
    role: Role,
    options: &Options,
    listeners: impl FnOnce(&Options) -> Result<Vec<Listener>, ConnectError>,
) -> Result<AnyTransport, ConnectError> {
    let address = served_at(string, role)?;
    let service = options.turn.as_ref().ok_or_else(|| ConnectError::NoTurn { string: string.to_string() })?;
    let listeners = listeners(options)?.into_iter().map(|listener| (listener, address)).collect();
    Ok(Box::new(serve::turn(service, listeners)))
}

/// Where a server listens.
#[cfg(any(feature = "stun", feature = "turn"))]
fn served_at(string: &ConnectionString, role: Role) -> Result<std::net::SocketAddr, ConnectError> {
    if role == Role::Dial {
        return Err(ConnectError::WrongRole { string: string.to_string(), role });
    }
    let (host, port) = string.host_port()?;
    let address = host.parse().map_err(|_| string.malformed(Part::Host, "it must be an address of this host"))?;
    Ok(std::net::SocketAddr::new(address, port))
}

fn refuse_listen(string: &ConnectionString, role: Role) -> Result<(), ConnectError> {
    if role == Role::Listen {
        return Err(ConnectError::WrongRole { string: string.to_string(), role });
    }
    Ok(())
}
