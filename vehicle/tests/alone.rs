//! A car carries no database and no other crate of the house.
#![allow(clippy::unwrap_used)]

use std::process::Command;

#[test]
fn the_program_of_a_car_links_no_database_and_no_crate_of_the_house() {
    let args = ["tree", "-p", "vehicle", "--features", "road,sandbox", "--edges", "normal,build"];
    let tree = Command::new(env!("CARGO"))
        .args(args)
        .args(["--prefix", "none", "--offline", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8(tree.stdout).unwrap();
    let names: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    // It is the tree that was asked for.
    for carried in ["vehicle", "reqwest", "rustls", "tract-onnx", "wasmtime"] {
        assert!(names.contains(&carried), "{carried}: {text}");
    }
    let house = ["api", "billing", "ledger", "pricing", "scheduler", "store"];
    let database = ["diesel", "libsqlite3-sys", "pq-sys", "rusqlite", "tokio-postgres"];
    for stranger in house.iter().chain(&database) {
        assert!(!names.contains(stranger), "{stranger}");
    }
}
