//! The API, asked over HTTP by clients of a server in this process, on both databases.
#![allow(clippy::unwrap_used)]

mod app;
mod assurance;
mod cli;
mod costs;
mod explain;
mod jobs;
mod mail;
mod market;
mod owners;
mod personal;
mod policy;
mod refusals;
mod replay;
mod road;
mod spec;
mod work;
