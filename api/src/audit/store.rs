//! The log in the database.

use std::fmt::Display;
use std::io::Write;

use diesel::prelude::*;
use serde_json::Value;
use store::schema::{audit_event, audit_origin};
use store::{AuditEventId, Result, Timestamp, Tx};

use super::export::{Format, Writer};
use super::model::{Actor, AuditEvent, Filter};

/// Keeps an act, in its own transaction. `action` is `noun.participle`; `before` and `after` say
/// what changed, by ids and numbers, without personal data or secrets; [`Value::Null`] says that
/// there was, or is, nothing.
pub fn record(
    tx: &mut Tx<'_>,
    by: Actor,
    action: &'static str,
    subject: impl Display,
    before: Value,
    after: Value,
) -> Result<()> {
    let id: AuditEventId = tx.id();
    let text = |value: Value| (!value.is_null()).then(|| value.to_string());
    diesel::insert_into(audit_event::table)
        .values((
            audit_event::id.eq(id),
            audit_event::at.eq(tx.now),
            audit_event::actor.eq(by.who.to_string()),
            audit_event::action.eq(action),
            audit_event::subject.eq(subject.to_string()),
            audit_event::state_before.eq(text(before)),
            audit_event::state_after.eq(text(after)),
            audit_event::request_id.eq(by.origin.request_id()),
        ))
        .execute(tx.conn)?;
    if let Some(address) = by.origin.address {
        diesel::insert_into(audit_origin::table)
            .values((audit_origin::event_id.eq(id), audit_origin::address.eq(address.to_string())))
            .execute(tx.conn)?;
    }
    Ok(())
}

type Columns = (
    AuditEventId,
    Timestamp,
    String,
    String,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
);

fn event((columns, address): (Columns, Option<String>)) -> AuditEvent {
    let value = |text: Option<String>| {
        text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null)
    };
    let (id, at, actor, action, subject, before, after, request_id) = columns;
    let (before, after) = (value(before), value(after));
    AuditEvent { id, at, actor, action, subject, before, after, address, request_id }
}

/// Acts, oldest first.
pub fn list(
    tx: &mut Tx<'_>,
    filter: &Filter,
    after: Option<AuditEventId>,
    rows: i64,
) -> Result<Vec<AuditEvent>> {
    let from = filter.from.unwrap_or(Timestamp(i64::MIN));
    let to = filter.to.unwrap_or(Timestamp(i64::MAX));
    let mut query = audit_event::table
        .left_join(audit_origin::table.on(audit_origin::event_id.eq(audit_event::id)))
        .filter(audit_event::id.gt(after.unwrap_or(AuditEventId::NIL)))
        .filter(audit_event::at.ge(from).and(audit_event::at.lt(to)))
        .order(audit_event::id)
        .limit(rows)
        .select((audit_event::all_columns, audit_origin::address.nullable()))
        .into_boxed();
    if let Some(actor) = &filter.actor {
        query = query.filter(audit_event::actor.eq(actor));
    }
    if let Some(action) = &filter.action {
        query = query.filter(audit_event::action.eq(action));
    }
    if let Some(subject) = &filter.subject {
        query = query.filter(audit_event::subject.eq(subject));
    }
    let found: Vec<(Columns, Option<String>)> = query.load(tx.conn)?;
    Ok(found.into_iter().map(event).collect())
}

/// Acts read at a time.
const CHUNK: i64 = 500;

/// Writes every act that the filter takes, from one snapshot.
pub fn write_all(
    tx: &mut Tx<'_>,
    filter: &Filter,
    format: Format,
    out: &mut dyn Write,
) -> crate::problem::Result<()> {
    let (mut writer, mut after) = (Writer::new(format, out)?, None);
    loop {
        let events = list(tx, filter, after, CHUNK)?;
        events.iter().try_for_each(|event| writer.write(event))?;
        match events.last() {
            Some(last) => after = Some(last.id),
            None => return writer.finish(),
        }
    }
}
