//! Parties and their profiles in the database.

use diesel::prelude::*;
use store::schema::{party, party_profile};
use store::{PartyId, Timestamp, Tx};

use super::model::{Party, Role};
use crate::mail::{self, Template};
use crate::problem::{Code, Problem, Result};

/// One address, one spelling.
pub fn normalise(email: &str) -> String {
    email.trim().to_lowercase()
}

/// A new party, and its welcome mail.
pub fn create(
    tx: &mut Tx<'_>,
    email: &str,
    name: &str,
    role: Role,
    password_hash: &str,
) -> Result<Party> {
    let party = Party {
        id: tx.id(),
        role,
        email: normalise(email),
        name: name.trim().to_owned(),
        created_at: tx.now,
    };
    if by_email(tx, &party.email)?.is_some() {
        return Err(Problem::new(Code::EmailTaken));
    }
    diesel::insert_into(party::table)
        .values((
            party::id.eq(party.id),
            party::role.eq(role.as_str()),
            party::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    let added = diesel::insert_into(party_profile::table)
        .values((
            party_profile::party_id.eq(party.id),
            party_profile::email.eq(&party.email),
            party_profile::name.eq(&party.name),
            party_profile::password_hash.eq(password_hash),
        ))
        .execute(tx.conn)
        .map_err(store::Error::from);
    match added {
        // Two sign-ups at once: the constraint is the second lock.
        Err(error) if error.is_unique_violation() => return Err(Problem::new(Code::EmailTaken)),
        added => added?,
    };
    mail::enqueue(tx, party.id, &Template::Welcome { role })?;
    Ok(party)
}

/// Who has this address, and the hash of the password.
pub fn by_email(tx: &mut Tx<'_>, email: &str) -> Result<Option<(PartyId, Role, String)>> {
    let row: Option<(PartyId, String, String)> = party_profile::table
        .inner_join(party::table.on(party::id.eq(party_profile::party_id)))
        .filter(party_profile::email.eq(normalise(email)))
        .select((party::id, party::role, party_profile::password_hash))
        .first(tx.conn)
        .optional()?;
    row.map(|(id, role, hash)| Ok((id, stored_role(&role)?, hash))).transpose()
}

pub fn get(tx: &mut Tx<'_>, id: PartyId) -> Result<Party> {
    let row: Option<(String, Timestamp, String, String)> = party::table
        .inner_join(party_profile::table.on(party_profile::party_id.eq(party::id)))
        .filter(party::id.eq(id))
        .select((party::role, party::created_at, party_profile::email, party_profile::name))
        .first(tx.conn)
        .optional()?;
    let (role, created_at, email, name) = row.ok_or_else(|| Problem::new(Code::NotFound))?;
    Ok(Party { id, role: stored_role(&role)?, email, name, created_at })
}

fn stored_role(text: &str) -> Result<Role> {
    Role::parse(text).ok_or_else(|| Problem::internal(format!("a party with the role {text}")))
}
