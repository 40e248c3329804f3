//! A book of a million accounts and ten million entries: what a balance of any time takes, and how
//! much memory an export. `DRIVEWAY_TEST_LONG` makes it that large; otherwise it is a small one.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write;
use std::time::{Duration, Instant};

use common::{read, write};
use diesel::connection::SimpleConnection;
use ledger::Kind;
use ledger::export;
use ledger::report::{AsOf, HistoryPage, Order, Search, balance_as_of, history, transactions};
use store::testing::{START, TestDb};
use store::{AccountId, Amount, AnyConnection, Day, Timestamp, Tx, on_both_databases};

/// Transactions, each of one micro-unit from the hot account to one of the others, one every five
/// seconds; every ten thousandth counts a day before the one on which it is booked.
struct Size {
    transactions: i64,
    accounts: i64,
}

const GAP_US: i64 = 5_000_000;
/// Entries of the hot account that are in no summed day.
const TAIL: i64 = 2_000;
const HOT: AccountId = AccountId::from_bytes([1; 16]);

fn size() -> Size {
    match std::env::var_os("DRIVEWAY_TEST_LONG").is_some() {
        true => Size { transactions: 5_000_000, accounts: 1_000_000 },
        false => Size { transactions: 40_000, accounts: 1_000 },
    }
}

/// Writes the rows with the database's own means, past the engine: what is measured is reading.
fn fill(tx: &mut Tx<'_>, size: &Size) {
    let Size { transactions, accounts } = size;
    let start = START.0;
    let [id, account, hot, series] = match &tx.conn {
        AnyConnection::Postgres(_) => [
            format!(
                "decode(lpad(to_hex(({start} + n * {GAP_US}) / 1000), 12, '0') || '70008000' \
                 || lpad(to_hex(n), 12, '0'), 'hex')"
            ),
            "decode(lpad(to_hex(i + 1), 32, '0'), 'hex')".to_owned(),
            format!("decode('{}', 'hex')", "01".repeat(16)),
            "generate_series(CAST(0 AS BIGINT), {last}) AS s({v})".to_owned(),
        ],
        AnyConnection::Sqlite(_) => [
            format!("unhex(printf('%012x70008000%012x', ({start} + n * {GAP_US}) / 1000, n))"),
            "unhex(printf('%032x', i + 1))".to_owned(),
            format!("x'{}'", "01".repeat(16)),
            "(WITH RECURSIVE s({v}) AS (SELECT 0 UNION ALL SELECT {v} + 1 FROM s WHERE {v} < {last}) \
             SELECT {v} FROM s) AS s"
                .to_owned(),
        ],
    };
    let series =
        |v: &str, count: i64| series.replace("{v}", v).replace("{last}", &(count - 1).to_string());
    let (of_accounts, of_all) = (series("i", *accounts), series("n", *transactions));
    let wallet = account
        .replace("(i + 1", &format!("(n % {accounts} + 1"))
        .replace(", i + 1", &format!(", n % {accounts} + 1"));
    let (posted, day) = (format!("{start} + n * {GAP_US}"), 86_400_000_000_i64);
    let effective = format!("{posted} - CASE WHEN n % 10000 = 0 THEN {day} ELSE 0 END");
    let upto = transactions - TAIL;
    let last = START.0 + transactions * GAP_US;
    let sql = format!(
        "INSERT INTO account (id, code, party_id, asset, side, may_overdraw, created_at)
         SELECT {account}, 'customer_wallet', {account}, 'USD', 'credit', FALSE, {start}
         FROM {of_accounts};
         INSERT INTO account (id, code, party_id, asset, side, may_overdraw, created_at)
         VALUES ({hot}, 'bank', {hot}, 'USD', 'debit', TRUE, {start});
         INSERT INTO balance (account_id, posted, held, entries, last_posted_at)
         SELECT {account}, -{transactions} / {accounts}, 0, {transactions} / {accounts}, {last}
         FROM {of_accounts};
         INSERT INTO balance (account_id, posted, held, entries, last_posted_at)
         VALUES ({hot}, {transactions}, 0, {transactions}, {last});
         INSERT INTO ledger_transaction
             (id, key, fingerprint, kind, subject, posted_at, effective_at, booked_on)
         SELECT {id}, 'key ' || n, {hot}, 'adjustment', 'key ' || n, {posted}, {effective},
             ({posted}) / {day}
         FROM {of_all};
         INSERT INTO entry (transaction_id, line, account_id, amount, number, balance_after)
         SELECT {id}, 1, {hot}, 1, n + 1, n + 1 FROM {of_all};
         INSERT INTO entry (transaction_id, line, account_id, amount, number, balance_after)
         SELECT {id}, 2, {wallet}, -1, n / {accounts} + 1, -(n / {accounts} + 1) FROM {of_all};
         INSERT INTO day_balance (account_id, day, net, upto)
         SELECT {hot}, ({posted}) / {day}, COUNT(*), MAX(n + 1) FROM {of_all}
         WHERE n < {upto} GROUP BY ({posted}) / {day};"
    );
    tx.conn.batch_execute(&sql).unwrap();
}

/// What half of the questions about the hot account take at most, and nine of ten; each must have
/// its answer.
fn ask(db: &TestDb, size: &Size, question: impl Fn(i64) -> (AsOf, i64)) -> [Duration; 2] {
    let steps = (0..50).map(|step| step * size.transactions / 50 + step);
    let mut took: Vec<Duration> = steps
        .map(|n| {
            let (as_of, expected) = question(n);
            let began = Instant::now();
            let found = read(&db.store, |tx| balance_as_of(tx, HOT, as_of));
            let took = began.elapsed();
            assert_eq!(found, Amount(expected), "{as_of:?}");
            took
        })
        .collect();
    took.sort();
    [took[25], took[45]]
}

/// How many transactions are posted before the end of a day, and how many count by then.
fn by_day(n: i64, size: &Size) -> (Day, i64, i64) {
    let day = Day::of(Timestamp(START.0 + n * GAP_US));
    let before = |end: i64| ((end - START.0 + GAP_US - 1) / GAP_US).min(size.transactions);
    let booked = before(day.next().start().0);
    let late = (booked..before(day.next().next().start().0)).filter(|n| n % 10_000 == 0).count();
    (day, booked, booked + i64::try_from(late).unwrap())
}

/// A kind that there is none of is looked for in steps; a key is found at once.
fn find_rare(db: &TestDb, size: &Size) {
    let rare = Search { kind: Some(Kind::Refund), ..Search::default() };
    let (mut pages, mut after) = (0, None);
    loop {
        let found = read(&db.store, |tx| transactions(tx, &rare, after, 10));
        assert_eq!(found.lines, []);
        pages += 1;
        after = found.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(pages, size.transactions / 20_000 + 1);
    let key =
        Search { subject: Some(format!("key {}", size.transactions - 1)), ..Search::default() };
    let found = read(&db.store, |tx| transactions(tx, &key, None, 10));
    assert_eq!((found.lines.len(), found.next), (1, None));
}

struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Begins to look for the peak anew: what filling the book took is not the export's.
fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// The most memory that this process had since, in MB.
fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1_024
}

on_both_databases! {
    fn a_large_book_answers_at_once_and_exports_in_little_memory(db) {
        let size = size();
        let long = size.accounts == 1_000_000;
        write(&db.store, |tx| {
            fill(tx, &size);
            Ok(())
        });
        write(&db.store, |tx| {
            tx.conn.batch_execute("ANALYZE")?;
            Ok(())
        });
        let at = |n: i64| Timestamp(START.0 + n * GAP_US);
        let posted = ask(&db, &size, |n| (AsOf::Posted(at(n)), n));
        let booked = ask(&db, &size, |n| {
            let (day, booked, _) = by_day(n, &size);
            (AsOf::Booked(day), booked)
        });
        let effective = ask(&db, &size, |n| {
            let (day, _, effective) = by_day(n, &size);
            (AsOf::Effective(day), effective)
        });
        let database = db.store.database();
        println!("{database}: posted {posted:?}, booked {booked:?}, effective {effective:?}");
        let (to, order) = (Some(at(size.transactions / 2)), Order::NewestFirst);
        let page = HistoryPage { to, order, limit: 100, ..HistoryPage::default() };
        let lines = read(&db.store, |tx| history(tx, HOT, &page));
        assert_eq!(lines[0].number, size.transactions / 2);
        find_rare(&db, &size);
        for (name, format) in [
            ("beancount", export::beancount as fn(&mut Tx<'_>, &mut dyn Write) -> ledger::Result<()>),
            ("hledger", export::hledger),
        ] {
            forget_peak();
            let (began, mut out) = (Instant::now(), Counted(0));
            read(&db.store, |tx| format(tx, &mut out));
            let (took, peak) = (began.elapsed(), peak_mb());
            println!("{name}: {} MB in {took:?}, {peak} MB of memory", out.0 / 1_000_000);
            assert!(peak < 512, "{peak} MB");
        }
        if long {
            for [half, _] in [posted, booked, effective] {
                assert!(half < Duration::from_millis(5), "{half:?}");
            }
        }
    }
}
