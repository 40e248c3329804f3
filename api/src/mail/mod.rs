//! Mail, by way of an outbox: a row in the transaction of what it tells about, sent later by a
//! thread of its own. The row names the party; the address is looked up when it is sent, so that
//! what is erased or corrected meanwhile holds.

mod sender;
mod template;

pub use sender::{Mailer, Transport};
pub use template::Template;

use diesel::prelude::*;
use store::schema::outbox;
use store::{MailId, PartyId, Tx};

use crate::problem::{Problem, Result};

/// Puts a mail into the outbox.
pub fn enqueue(tx: &mut Tx<'_>, party: PartyId, template: &Template) -> Result<()> {
    let id: MailId = tx.id();
    let payload = serde_json::to_string(template).map_err(Problem::internal)?;
    diesel::insert_into(outbox::table)
        .values((
            outbox::id.eq(id),
            outbox::party_id.eq(party),
            outbox::template.eq(template.name()),
            outbox::payload.eq(payload),
            outbox::state.eq("pending"),
            outbox::attempts.eq(0),
            outbox::next_at.eq(tx.now),
            outbox::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(())
}
