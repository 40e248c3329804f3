//! What handlers share.

use actix_web::web;
use store::seal::Seal;
use store::{Store, Tx};

use crate::blobs::Blobs;
use crate::identity::token::TokenKey;
use crate::problem::Result;
use crate::vehicle::Cars;

/// The application's state as a handler takes it.
pub type App = web::Data<AppState>;

pub struct AppState {
    pub store: Store,
    pub blobs: Blobs,
    pub tokens: TokenKey,
    /// Of personal data at rest.
    pub seal: Seal,
    /// Cars that are signed in.
    pub cars: Cars,
    pub scheduler: scheduler::Config,
    pub desk: scheduler::Desk,
    /// Quotes in work.
    pub quotes: tokio::sync::Semaphore,
    /// Deposits of source `test` post at once, out of thin air.
    pub allow_test_deposits: bool,
    /// Reverse proxies whose word on a client's address counts.
    pub trusted_proxies: u8,
    /// Tries programs in a sandbox before they are accepted; none: only their form is looked at.
    pub checker: Option<vehicle::WorkerPool>,
}

impl AppState {
    /// Runs a query on a blocking thread.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = self.store.clone();
        web::block(move || store.read(query)).await?
    }

    /// Runs a command on a blocking thread.
    pub async fn write<T: Send + 'static>(
        &self,
        command: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = self.store.clone();
        web::block(move || store.write(command)).await?
    }
}
