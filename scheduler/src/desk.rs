//! The platform's side of a car's poll: one in a process, shared by HTTP, the embedded fleet and
//! the market's loop. What a process remembers between polls lives here, and may be lost with it:
//! everything that must not be is in rows.

use std::sync::Arc;

use store::{Store, VehicleId};
use vehicle::protocol::{Heartbeat, HeartbeatReply};

use crate::{Config, Result, lease};

/// Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    config: Config,
}

impl Desk {
    pub fn new(store: Store, config: Config) -> Self {
        Self { inner: Arc::new(Inner { store, config }) }
    }

    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Takes a car's word and answers with what it should do.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] for a vehicle that does not exist or is retired.
    pub fn heartbeat(&self, id: VehicleId, beat: &Heartbeat) -> Result<HeartbeatReply> {
        lease::heartbeat(self.store(), self.config(), id, beat)
    }
}
