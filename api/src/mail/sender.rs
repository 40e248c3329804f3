//! Sends what is in the outbox.
//!
//! A row is leased by moving its `next_at` ahead, so that no two nodes send it at once; a node
//! that dies meanwhile loses only the lease. A mail can thus come twice, with one Message-ID.

use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use diesel::prelude::*;
use lettre::message::{Mailbox, header::ContentType};
use lettre::{FileTransport, Message, SmtpTransport, Transport as _};
use store::schema::{outbox, party_profile};
use store::{MailId, PartyId, Store};

use super::Template;

const POLL: Duration = Duration::from_millis(500);
const BATCH: i64 = 50;
/// How long a leased mail is another's.
const LEASE_S: i64 = 120;
/// After so many failures, over about a day, a mail is dead.
const MAX_ATTEMPTS: i32 = 10;

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// How mail leaves.
pub enum Transport {
    /// One `.eml` file each into a folder.
    Folder(PathBuf),
    /// To a relay: `smtp://host:port`.
    Smtp(Box<SmtpTransport>),
}

impl Transport {
    pub fn folder(path: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&path)?;
        Ok(Self::Folder(path))
    }

    pub fn smtp(url: &str) -> Result<Self, lettre::transport::smtp::Error> {
        Ok(Self::Smtp(Box::new(SmtpTransport::from_url(url)?.build())))
    }

    fn send(&self, message: &Message) -> Result<(), Fault> {
        match self {
            Self::Folder(path) => FileTransport::new(path).send(message).map(drop)?,
            Self::Smtp(relay) => relay.send(message).map(drop)?,
        }
        Ok(())
    }
}

/// A thread that sends.
pub struct Mailer {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Mailer {
    pub fn start(store: Store, transport: Transport, from: Mailbox) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new().name("mail".to_owned()).spawn(move || {
            while stopped.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) {
                if let Err(error) = send_due(&store, &transport, &from) {
                    tracing::warn!(%error, "the outbox cannot be read");
                }
            }
        })?;
        Ok(Self { stop, thread })
    }

    /// Waits for the mail that is being sent.
    pub fn stop(self) {
        let _gone = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the mail thread panicked");
        }
    }
}

#[derive(Queryable)]
struct Due {
    id: MailId,
    party: PartyId,
    payload: String,
    attempts: i32,
}

fn send_due(store: &Store, transport: &Transport, from: &Mailbox) -> store::Result<()> {
    for mail in load_due(store)? {
        if !lease(store, &mail)? {
            continue;
        }
        match compose(store, &mail, from).and_then(|message| transport.send(&message)) {
            Ok(()) => finish(store, mail.id, "sent", None)?,
            Err(error) => fail(store, &mail, &error.to_string())?,
        }
    }
    Ok(())
}

fn load_due(store: &Store) -> store::Result<Vec<Due>> {
    store.read(|tx| {
        Ok(outbox::table
            .filter(outbox::state.eq("pending").and(outbox::next_at.le(tx.now)))
            .order(outbox::next_at)
            .limit(BATCH)
            .select((outbox::id, outbox::party_id, outbox::payload, outbox::attempts))
            .load(tx.conn)?)
    })
}

/// True if the mail is ours to send: nobody else has counted the attempt.
fn lease(store: &Store, mail: &Due) -> store::Result<bool> {
    store.write(|tx| {
        let row = outbox::id.eq(mail.id).and(outbox::attempts.eq(mail.attempts));
        let pending = outbox::state.eq("pending");
        let changed = diesel::update(outbox::table.filter(row.and(pending)))
            .set((
                outbox::attempts.eq(mail.attempts + 1),
                outbox::next_at.eq(tx.now.plus_s(LEASE_S)),
            ))
            .execute(tx.conn)?;
        Ok(changed == 1)
    })
}

fn compose(store: &Store, mail: &Due, from: &Mailbox) -> Result<Message, Fault> {
    let profile: Option<(String, String)> = store.read(|tx| {
        let columns = (party_profile::email, party_profile::name);
        let profile = party_profile::table.find(mail.party).select(columns);
        Ok::<_, store::Error>(profile.first(tx.conn).optional()?)
    })?;
    let (email, name) = profile.ok_or("the party has no address any more")?;
    let template: Template = serde_json::from_str(&mail.payload)?;
    let text = template.text(&name);
    let message = Message::builder()
        .message_id(Some(format!("<{}@{}>", mail.id, from.email.domain())))
        .from(from.clone())
        .to(Mailbox::new(Some(name), email.parse()?))
        .subject(template.subject())
        .header(ContentType::TEXT_PLAIN)
        .body(text)?;
    Ok(message)
}

fn finish(store: &Store, id: MailId, state: &str, error: Option<&str>) -> store::Result<()> {
    store.write(|tx| {
        diesel::update(outbox::table.find(id))
            .set((outbox::state.eq(state), outbox::last_error.eq(error)))
            .execute(tx.conn)?;
        Ok(())
    })
}

fn fail(store: &Store, mail: &Due, error: &str) -> store::Result<()> {
    let attempts = mail.attempts + 1;
    tracing::warn!(mail = %mail.id, attempts, error, "mail was not sent");
    if attempts >= MAX_ATTEMPTS {
        return finish(store, mail.id, "dead", Some(error));
    }
    store.write(|tx| {
        diesel::update(outbox::table.find(mail.id))
            .set((
                outbox::next_at.eq(tx.now.plus_s(backoff_s(attempts))),
                outbox::last_error.eq(Some(error)),
            ))
            .execute(tx.conn)?;
        Ok(())
    })
}

/// 30 seconds, then twice as long each time, at most 6 hours.
fn backoff_s(attempts: i32) -> i64 {
    let doublings = u32::try_from(attempts - 1).unwrap_or(0).min(10);
    (30 << doublings).min(6 * 3600)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::model::Role;

    #[test]
    fn the_wait_doubles_up_to_six_hours() {
        let waits: Vec<i64> = [1, 2, 3, 10, 99].into_iter().map(backoff_s).collect();
        assert_eq!(waits, [30, 60, 120, 15_360, 21_600]);
    }

    store::on_both_databases! {
        fn a_mail_that_never_goes_is_dead_in_the_end(db) {
            let sent = db.dir.path().join("sent");
            let email = "ada@example.org";
            db.store.write(|tx| {
                crate::identity::store::create(tx, email, "Ada", Role::Owner, "x")
            }).unwrap();
            let from: Mailbox = "Driveway <no-reply@driveway.test>".parse().unwrap();
            // No such folder: every attempt fails.
            let broken = Transport::Folder(sent.join("missing"));
            for _ in 0..MAX_ATTEMPTS {
                send_due(&db.store, &broken, &from).unwrap();
                db.clock.advance_s(7 * 3600);
            }
            let row: (String, i32, Option<String>) = db.store.read(|tx| {
                let columns = (outbox::state, outbox::attempts, outbox::last_error);
                Ok::<_, store::Error>(outbox::table.select(columns).first(tx.conn)?)
            }).unwrap();
            assert_eq!((row.0.as_str(), row.1), ("dead", MAX_ATTEMPTS));
            assert!(row.2.is_some());
        }
    }
}
