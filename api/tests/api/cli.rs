//! `driveway market replay` as a script runs it.

use std::process::{Command, Output};

use diesel::prelude::*;
use serde_json::Value;
use store::schema::clearing_record;
use store::testing::TestDb;

use crate::app::TestApp;
use crate::market::sold;

fn replay(app: &TestApp, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_driveway"))
        .args(["market", "replay", "--json", "--database-url", &app.db.url, "--data"])
        .arg(app.db.dir.path())
        .args(args)
        .output()
        .unwrap()
}

/// The last line of standard output.
fn told(output: &Output) -> Value {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap_or_default()
}

#[test]
fn a_changed_record_is_named_postgres() {
    let app = TestApp::start(TestDb::postgres());
    sold(&app, &app.customer("ada"), &app.owner("olga"));
    let clean = replay(&app, &["--all"]);
    assert_eq!(clean.status.code(), Some(0), "{clean:?}");
    let all = told(&clean);
    assert_eq!((&all["clearings"], &all["same"]), (&1.into(), &true.into()), "{all}");
    let ticks = app.customer("eve").get("/v1/markets/us/ticks").expect(200);
    let id = ticks["data"][0]["clearing"].as_str().unwrap();
    let one = replay(&app, &[id]);
    assert_eq!((one.status.code(), &told(&one)["lanes"]), (Some(0), &1.into()), "{one:?}");

    // A byte of the record turned: of a price, a lane, whatever it is.
    let changed = app.db.store.write(|tx| {
        let mut content: Vec<u8> =
            clearing_record::table.select(clearing_record::content).first(tx.conn)?;
        *content.last_mut().unwrap() ^= 1;
        diesel::update(clearing_record::table)
            .set(clearing_record::content.eq(content))
            .execute(tx.conn)?;
        Ok::<_, store::Error>(())
    });
    changed.unwrap();
    let broken = replay(&app, &["--all"]);
    assert_eq!(broken.status.code(), Some(1), "{broken:?}");
    assert_eq!(told(&broken)["first_difference"]["clearing"], id);
    assert_eq!(replay(&app, &[id]).status.code(), Some(1));
    assert_eq!(replay(&app, &["clearing_01h455vb4pex5vsknk084sn02q"]).status.code(), Some(1));
    for wrong in [&["--all", id][..], &["nonsense"], &[]] {
        assert_eq!(replay(&app, wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn a_file_that_a_server_owns_is_not_replayed_sqlite() {
    let app = TestApp::start(TestDb::sqlite());
    assert_eq!(replay(&app, &["--all"]).status.code(), Some(3));
}
