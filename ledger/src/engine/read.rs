//! Reads what a batch needs, a query for each set, whatever the number of commands.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Integer, Text};
use store::schema::{asset, period};
use store::{
    AccountId, Amount, AnyConnection, Day, HoldId, Month, PartyId, Timestamp, TransactionId, Tx,
};

use super::fold::{State, States};
use super::plan::{Book, MissingAccount, Ready};
use crate::account::store::parse_code;
use crate::chart::{Assets, Credit, Line};
use crate::command::{Body, Command, Lines};
use crate::hold::HoldState;
use crate::{Error, Result, reversal};
use store::sets::Set;

/// The accounts of a command, as far as they are known before its turn.
pub(super) fn accounts_of<'b>(
    ready: &'b Ready<'_>,
    book: &'b Book,
) -> impl Iterator<Item = AccountId> + 'b {
    let legs = ready.legs.iter().map(|leg| leg.account);
    let held = match &ready.command.body {
        Body::Hold(new) => Some(new.account),
        _ => None,
    };
    let hold = hold_of(ready.command).and_then(|id| book.holds.get(&id));
    legs.chain(held).chain(hold.map(|hold| hold.account))
}

/// The hold that a command captures or releases.
pub(super) fn hold_of(command: &Command) -> Option<HoldId> {
    match &command.body {
        Body::Post(draft) => draft.hold,
        Body::Release { hold, .. } => Some(*hold),
        Body::Hold(_) => None,
    }
}

/// The assets there are, if a template among the commands needs to know.
pub(super) fn load_assets(conn: &mut AnyConnection, commands: &[&Command]) -> Result<Assets> {
    let from_template = |command: &&Command| match &command.body {
        Body::Post(draft) => matches!(draft.lines, Lines::Template(_)),
        _ => false,
    };
    if !commands.iter().any(from_template) {
        return Ok(Assets::default());
    }
    type Row = (String, i32, Option<String>, Option<i64>);
    let rows: Vec<Row> = asset::table
        .order(asset::code)
        .select((asset::code, asset::scale, asset::redemption_asset, asset::redemption_ppm))
        .load(conn)?;
    let mut assets = Assets::default();
    for (code, scale, redeemable_in, ppm) in rows {
        if let (Some(asset), Some(redemption_ppm)) = (redeemable_in, ppm) {
            let credit = Credit { code: code.clone(), redemption_ppm };
            assets.credits.entry(asset).or_insert(credit);
        }
        assets.least.insert(code, least(scale));
    }
    Ok(assets)
}

/// Micro-units in the least amount of an asset of this scale, 0 to 6.
fn least(scale: i32) -> i64 {
    10_i64.pow(6_u32.saturating_sub(scale.unsigned_abs()))
}

pub(super) type Names = HashMap<(&'static str, PartyId, String), AccountId>;

#[derive(QueryableByName)]
struct NameRow {
    #[diesel(sql_type = Binary)]
    id: AccountId,
    #[diesel(sql_type = Text)]
    code: String,
    #[diesel(sql_type = Binary)]
    party_id: PartyId,
    #[diesel(sql_type = Text)]
    asset: String,
}

/// The accounts among those that lines name.
pub(super) fn find_accounts(conn: &mut AnyConnection, lines: &[&Line]) -> Result<Names> {
    let wanted: BTreeSet<_> =
        lines.iter().map(|line| (line.code.text(), line.party, &*line.asset)).collect();
    let rows: Vec<NameRow> = Set::default()
        .texts("code", wanted.iter().map(|(code, ..)| *code))
        .ids("party_id", wanted.iter().map(|(_, party, _)| *party))
        .texts("asset", wanted.iter().map(|(.., asset)| *asset))
        .load(
            conn,
            "SELECT a.id, a.code, a.party_id, a.asset FROM {set}
            CROSS JOIN account a
            WHERE a.code = w.code AND a.party_id = w.party_id AND a.asset = w.asset",
        )?;
    let name =
        |row: NameRow| Ok(((parse_code(&row.code)?.text(), row.party_id, row.asset), row.id));
    rows.into_iter().map(name).collect()
}

#[derive(QueryableByName)]
struct StateRow {
    #[diesel(sql_type = Binary)]
    account_id: AccountId,
    #[diesel(sql_type = Text)]
    code: String,
    #[diesel(sql_type = Text)]
    asset: String,
    #[diesel(sql_type = Integer)]
    scale: i32,
    #[diesel(sql_type = BigInt)]
    posted: Amount,
    #[diesel(sql_type = BigInt)]
    held: Amount,
    #[diesel(sql_type = BigInt)]
    entries: i64,
    #[diesel(sql_type = BigInt)]
    last_posted_at: Timestamp,
}

/// Takes the balances of `ids` that there are by ascending id and keeps them until the transaction
/// ends. On SQLite the writer has the whole database already.
pub(super) fn lock_balances(conn: &mut AnyConnection, ids: &BTreeSet<AccountId>) -> Result<States> {
    let lock = match conn {
        AnyConnection::Postgres(_) => "ORDER BY b.account_id FOR NO KEY UPDATE OF b",
        AnyConnection::Sqlite(_) => "",
    };
    let rows: Vec<StateRow> = Set::default().ids("id", ids.iter().copied()).load(
        conn,
        &format!(
            "SELECT b.account_id, a.code, a.asset, s.scale, b.posted, b.held, b.entries,
                b.last_posted_at
            FROM {{set}} CROSS JOIN balance b CROSS JOIN account a CROSS JOIN asset s
            WHERE b.account_id = w.id AND a.id = b.account_id AND s.code = a.asset {lock}"
        ),
    )?;
    let mut assets = BTreeMap::<String, Rc<str>>::new();
    let mut states = States::with_capacity(rows.len());
    for row in rows {
        let asset = match assets.get(&row.asset) {
            Some(asset) => asset.clone(),
            None => assets.entry(row.asset.clone()).or_insert(row.asset.into()).clone(),
        };
        let state = State {
            code: parse_code(&row.code)?,
            asset,
            least: least(row.scale),
            posted: row.posted,
            held: row.held,
            entries: row.entries,
            last_posted_at: row.last_posted_at,
            changed: false,
        };
        states.insert(row.account_id, state);
    }
    Ok(states)
}

/// The accounts of holds, which never change.
pub(super) fn hold_accounts(
    conn: &mut AnyConnection,
    ids: &BTreeSet<HoldId>,
) -> Result<Vec<AccountId>> {
    let rows: Vec<AccountOfHold> = Set::default()
        .ids("id", ids.iter().copied())
        .load(conn, "SELECT h.account_id FROM {set} CROSS JOIN hold h WHERE h.id = w.id")?;
    Ok(rows.into_iter().map(|row| row.account_id).collect())
}

#[derive(QueryableByName)]
struct AccountOfHold {
    #[diesel(sql_type = Binary)]
    account_id: AccountId,
}

#[derive(QueryableByName)]
struct HoldRow {
    #[diesel(sql_type = Binary)]
    id: HoldId,
    #[diesel(sql_type = Binary)]
    account_id: AccountId,
    #[diesel(sql_type = BigInt)]
    amount: Amount,
    #[diesel(sql_type = BigInt)]
    captured: Amount,
    #[diesel(sql_type = BigInt)]
    released: Amount,
    #[diesel(sql_type = Bool)]
    open: bool,
    #[diesel(sql_type = Text)]
    subject: String,
    #[diesel(sql_type = Integer)]
    events: i32,
}

/// Holds as they stand. To change them, have the balances of their accounts first.
pub(crate) fn load_holds(
    conn: &mut AnyConnection,
    ids: &BTreeSet<HoldId>,
) -> Result<HashMap<HoldId, HoldState>> {
    let rows: Vec<HoldRow> = Set::default().ids("id", ids.iter().copied()).load(
        conn,
        "SELECT h.id, h.account_id, h.amount, h.captured, h.released, h.open, h.subject,
            (SELECT COALESCE(MAX(e.number), 0) FROM hold_event e WHERE e.hold_id = h.id) AS events
        FROM {set} CROSS JOIN hold h WHERE h.id = w.id",
    )?;
    let hold = |row: HoldRow| {
        let HoldRow { id, account_id, amount, captured, released, open, subject, events } = row;
        let account = account_id;
        (id, HoldState { account, amount, captured, released, open, subject, events })
    };
    Ok(rows.into_iter().map(hold).collect())
}

#[derive(QueryableByName)]
struct KeyRow {
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Binary)]
    id: Vec<u8>,
    #[diesel(sql_type = Binary)]
    fingerprint: Vec<u8>,
}

/// Keys, with the ids and fingerprints of their commands.
pub(super) type Keys = Vec<(String, [u8; 16], Vec<u8>)>;

/// Which of the keys are there, with the ids and fingerprints of their commands.
pub(super) fn find_keys(
    conn: &mut AnyConnection,
    table: &'static str,
    keys: &BTreeSet<&str>,
) -> Result<Keys> {
    let sql = format!(
        "SELECT t.key, t.id, t.fingerprint FROM {{set}} CROSS JOIN {table} t WHERE t.key = w.key"
    );
    let rows: Vec<KeyRow> = Set::default().texts("key", keys.iter().copied()).load(conn, &sql)?;
    let row = |row: KeyRow| {
        let id = row.id.try_into().map_err(|_| Error::corrupt("an id has 16 bytes"))?;
        Ok((row.key, id, row.fingerprint))
    };
    rows.into_iter().map(row).collect()
}

/// The transactions that reversals and refunds refer to, without what was given back since.
pub(super) fn load_originals(
    conn: &mut AnyConnection,
    commands: &[&Command],
) -> Result<HashMap<TransactionId, reversal::Original>> {
    let mut originals = HashMap::new();
    for command in commands {
        let Body::Post(draft) = &command.body else { continue };
        let Some((_, of)) = draft.relation else { continue };
        if let Some(original) = reversal::load_original(conn, of)? {
            originals.insert(of, original);
        }
    }
    Ok(originals)
}

type Months = (BTreeSet<Month>, BTreeSet<Month>);

/// The months that are closed in any way, and those that are softly, if some command counts in a
/// month before this one. Whoever closes a
/// month waits for those who have read this.
pub(super) fn closed_months(tx: &mut Tx<'_>, commands: &[&Command]) -> Result<Months> {
    let this_month = Day::of(tx.now).month();
    let late = |command: &&Command| match &command.body {
        Body::Post(draft) => draft.effective_at.is_some_and(|at| Day::of(at).month() < this_month),
        _ => false,
    };
    if !commands.iter().any(late) {
        return Ok(Months::default());
    }
    crate::period::share(tx.conn)?;
    let closed = period::table.filter(period::state.ne("open"));
    let rows: Vec<(Month, String)> = closed.select((period::month, period::state)).load(tx.conn)?;
    let soft = rows.iter().filter(|(_, state)| state == "soft").map(|(month, _)| *month);
    Ok((rows.iter().map(|(month, _)| *month).collect(), soft.collect()))
}

/// Gives ids to the accounts that are named and not there.
pub(super) fn miss(tx: &Tx<'_>, line: &Line, least: i64) -> (AccountId, MissingAccount) {
    let Line { code, party, .. } = *line;
    let missing = MissingAccount { code, party, asset: line.asset.clone(), least };
    (tx.id(), missing)
}
