//! The session engine: what arrives, and when, whatever happens to the paths below.

#[path = "session_engine/costs.rs"]
mod costs;
#[path = "session_engine/hostile.rs"]
mod hostile;
#[path = "session_engine/net.rs"]
mod net;
#[path = "session_engine/property.rs"]
mod property;
#[path = "session_engine/split.rs"]
mod split;
#[path = "session_engine/stories.rs"]
mod stories;
