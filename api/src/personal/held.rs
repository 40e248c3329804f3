//! Where the database holds what is an owner's: one list, for the copy that they can have and for
//! what becomes of it when they want it erased.
//!
//! Table and condition are text of ours; the only value is the party's id, 16 bytes in hexadecimal.

use ::store::{AnyConnection, PartyId, Tx};
use diesel::prelude::*;
use diesel::sql_types::Text;
use serde_json::Value;

use crate::problem::{Problem, Result};

/// What an erasure does to rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Gone,
    /// These columns are set so.
    Cleared(&'static str),
    /// Why they stay: they name the party by its id, and nothing else of it.
    Stays(&'static str),
}

/// Rows of an owner's.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    pub table: &'static str,
    /// Which rows; `{party}` stands for the owner's id.
    whose: &'static str,
    pub then: Then,
}

const fn held(table: &'static str, whose: &'static str, then: Then) -> Held {
    Held { table, whose, then }
}

const BOOKS: Then = Then::Stays("The law has the books kept; they name you by a number only.");
const PARTY: &str = "party_id = {party}";
const CAR: &str = "vehicle_id IN (SELECT id FROM vehicle WHERE owner_id = {party})";

/// In an order in which they can be deleted.
pub const HELD: &[Held] = &[
    held("party", "id = {party}", BOOKS),
    held("party_profile", PARTY, Then::Gone),
    held("payout_account", PARTY, Then::Gone),
    held("idempotency", PARTY, Then::Gone),
    held("outbox", PARTY, Then::Gone),
    held("blob", PARTY, Then::Gone),
    held("vehicle_driver", "party_id = {party}", Then::Gone),
    held("vehicle_driver", CAR, Then::Gone),
    held("vehicle_code", CAR, Then::Gone),
    held("vehicle_vin", CAR, Then::Gone),
    held("vehicle_tariff", CAR, Then::Gone),
    held("vehicle_key", CAR, Then::Gone),
    held("presence", CAR, Then::Gone),
    held("car_hour", CAR, Then::Gone),
    held("car_program", CAR, Then::Gone),
    held("reputation", CAR, Then::Gone),
    held("consent", CAR, Then::Cleared("device = NULL")),
    held("vehicle", "owner_id = {party}", Then::Cleared("rules = '{}', available_until = NULL")),
    held("lease", CAR, BOOKS),
    held("payout", "owner_id = {party}", BOOKS),
    held("account", PARTY, BOOKS),
    held("entry", "account_id IN (SELECT id FROM account WHERE party_id = {party})", BOOKS),
    held("hold", "account_id IN (SELECT id FROM account WHERE party_id = {party})", BOOKS),
];

/// Columns that are nobody's data and open doors.
const SECRET: [&str; 5] = ["password_hash", "token_hash", "code_hash", "sealed", "digest"];

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

impl Held {
    fn condition(&self, tx: &Tx<'_>, party: PartyId) -> String {
        let hex: String = party.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let literal = match tx.conn {
            AnyConnection::Postgres(_) => format!("'\\x{hex}'::bytea"),
            AnyConnection::Sqlite(_) => format!("x'{hex}'"),
        };
        self.whose.replace("{party}", &literal)
    }

    /// The party's rows, each as a JSON object, without secrets.
    pub fn rows(&self, tx: &mut Tx<'_>, party: PartyId) -> Result<Vec<Value>> {
        let (table, whose) = (self.table, self.condition(tx, party));
        let lines: Vec<Line> = match &mut *tx.conn {
            AnyConnection::Postgres(conn) => {
                let sql =
                    format!("SELECT row_to_json(t)::text AS line FROM {table} t WHERE {whose}");
                diesel::sql_query(sql).load(conn)?
            }
            AnyConnection::Sqlite(conn) => {
                let columns = sqlite_columns(conn, table)?;
                let sql =
                    format!("SELECT json_object({columns}) AS line FROM {table} WHERE {whose}");
                diesel::sql_query(sql).load(conn)?
            }
        };
        lines.iter().map(|line| plain(&line.line)).collect()
    }

    /// Does to them what an erasure does.
    pub fn erase(&self, tx: &mut Tx<'_>, party: PartyId) -> Result<()> {
        let (table, whose) = (self.table, self.condition(tx, party));
        let sql = match self.then {
            Then::Gone => format!("DELETE FROM {table} WHERE {whose}"),
            Then::Cleared(columns) => format!("UPDATE {table} SET {columns} WHERE {whose}"),
            Then::Stays(_) => return Ok(()),
        };
        match &mut *tx.conn {
            AnyConnection::Postgres(conn) => diesel::sql_query(sql).execute(conn)?,
            AnyConnection::Sqlite(conn) => diesel::sql_query(sql).execute(conn)?,
        };
        Ok(())
    }
}

/// `'a', a, 'b', lower(hex(b))`: JSON of SQLite takes no bytes.
fn sqlite_columns(conn: &mut diesel::SqliteConnection, table: &str) -> Result<String> {
    let sql = format!(
        "SELECT CASE type WHEN 'BLOB' THEN '''' || name || ''', lower(hex(' || name || '))'
            ELSE '''' || name || ''', ' || name END AS line
        FROM pragma_table_info('{table}') ORDER BY cid"
    );
    let columns: Vec<Line> = diesel::sql_query(sql).load(conn)?;
    Ok(columns.into_iter().map(|column| column.line).collect::<Vec<_>>().join(", "))
}

fn plain(line: &str) -> Result<Value> {
    let mut value: Value = serde_json::from_str(line).map_err(Problem::internal)?;
    if let Some(row) = value.as_object_mut() {
        row.retain(|name, _| !SECRET.contains(&name.as_str()));
        for inner in row.values_mut() {
            // The two databases write bytes alike.
            if let Some(hex) = inner.as_str().and_then(|text| text.strip_prefix("\\x")) {
                *inner = Value::String(hex.to_owned());
            }
        }
    }
    Ok(value)
}
