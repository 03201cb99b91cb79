//! The program as its users and their scripts see it: what it reads, what it writes, how it exits.

mod cable;
mod chats;
mod child;
mod demo;
mod directs;
mod failures;
mod files;
mod forwards;
mod links;
mod pipes;
mod processes;
mod relays;
mod servers;
mod settings;
mod sim;
mod tls;
