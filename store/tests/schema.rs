//! The schema in Rust is the schema of the migrations, on both databases: the same tables, the same
//! columns in the same order.
#![allow(clippy::unwrap_used)]

use diesel::prelude::*;
use diesel::sql_types::Text;
use store::{AnyConnection, Error, on_both_databases};

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    column_name: String,
}

const SQLITE: &str = "SELECT m.name AS table_name, c.name AS column_name \
    FROM sqlite_schema m, pragma_table_info(m.name) c \
    WHERE m.type = 'table' AND m.name NOT LIKE '\\_\\_%' ESCAPE '\\' ORDER BY m.name, c.cid";

const POSTGRES: &str = "SELECT table_name::text, column_name::text \
    FROM information_schema.columns \
    WHERE table_schema = 'public' AND table_name NOT LIKE '\\_\\_%' \
    ORDER BY table_name COLLATE \"C\", ordinal_position";

/// `table.column` of every `table!` in `schema.rs`, tables by name.
fn declared() -> Vec<String> {
    let text = include_str!("../src/schema.rs");
    let mut tables: Vec<(&str, Vec<String>)> = Vec::new();
    for block in text.split("table! {\n").skip(1) {
        let mut lines = block.lines().map(str::trim);
        let name = lines.next().unwrap().split(' ').next().unwrap();
        let columns = lines.take_while(|line| *line != "}");
        let column = |line: &str| format!("{name}.{}", line.split(" ->").next().unwrap());
        tables.push((name, columns.map(column).collect()));
    }
    tables.sort();
    tables.into_iter().flat_map(|(_, columns)| columns).collect()
}

on_both_databases! {
    fn the_migrations_make_what_the_code_reads(db) {
        let columns: Vec<Column> = db.store.read(|tx| {
            Ok::<_, Error>(match tx.conn {
                AnyConnection::Postgres(conn) => diesel::sql_query(POSTGRES).load(conn)?,
                AnyConnection::Sqlite(conn) => diesel::sql_query(SQLITE).load(conn)?,
            })
        }).unwrap();
        let stored: Vec<String> =
            columns.into_iter().map(|c| format!("{}.{}", c.table_name, c.column_name)).collect();
        assert_eq!(stored, declared());
        assert!(stored.len() > 100);
    }
}
