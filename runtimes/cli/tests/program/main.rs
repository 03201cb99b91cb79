//! The program as its users and their scripts see it: what it reads, what it writes, how it exits.

mod chats;
mod child;
mod demo;
mod failures;
mod files;
mod forwards;
mod links;
mod pipes;
mod relays;
mod settings;
mod tls;
