//! The program as its users and their scripts see it: what it reads, what it writes, how it exits.

mod child;
mod demo;
mod failures;
mod links;
mod tls;
