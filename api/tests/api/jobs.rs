//! What customers do with jobs beside submitting and cancelling: arrays, stages, pause, clone,
//! results and the archive; admission of programs; bans.

use std::io::Write;
use std::process::{Command, Stdio};

use api::blobs::Blobs;
use reqwest::Method;
use serde_json::{Value, json};
use store::NodeId;
use store::testing::TestDb;

use crate::app::{Client, PROGRAM, TestApp, new_job};
use crate::work::{beat, car, tick};

/// What the maker's thread does in a server with cars.
fn make(app: &TestApp) -> usize {
    let blobs = Blobs::in_folder(&app.db.dir.path().join("blobs")).unwrap();
    scheduler::job::make(&app.db.store, &blobs, "us").unwrap().tasks
}

fn with(mut job: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        job[name] = value.clone();
        if value.is_null() {
            job.as_object_mut().unwrap().remove(name);
        }
    }
    job
}

/// A job of a map of `count` tasks and a reduce.
fn two_stages(customer: &Client, count: i32) -> Value {
    let program = customer.upload(PROGRAM);
    let stages = json!([
        { "name": "map", "runtime": "wasm", "program": program,
          "array": { "template": "{\"seed\": {index}}", "count": count } },
        { "name": "reduce", "runtime": "wasm", "program": program, "from": "map" },
    ]);
    let without = json!({ "inputs": null, "program": null, "runtime": null, "stages": stages });
    with(new_job(customer), &without)
}

fn rich(app: &TestApp) -> Client {
    let customer = app.customer("ada");
    customer.deposit("5.00");
    customer
}

fn path(job: &Value) -> String {
    format!("/v1/jobs/{}", job["id"].as_str().unwrap())
}

/// The car works on the order and stores these bytes as its output.
fn complete(app: &TestApp, car: &Client, order: &Value, output: &[u8]) -> Value {
    app.db.clock.advance_s(1);
    let blobs = Blobs::in_folder(&app.db.dir.path().join("blobs")).unwrap();
    let digest = blobs.put(output).unwrap();
    let size = i64::try_from(output.len()).unwrap();
    app.db.store.write(|tx| scheduler::blob::record(tx, &digest.0, size)).unwrap();
    let state = json!({ "state": "completed", "output": digest.0, "metered_us": 1_000_000 });
    beat(car, json!({ "attempt_id": order["attempt_id"], "state": state }))
}

/// Works on all that the job has; every output is the attempt's number in letters.
fn work_off(app: &TestApp, car: &Client, node: NodeId) {
    for _ in 0..20 {
        make(app);
        app.db.clock.advance_s(1);
        let mut reply = beat(car, Value::Null);
        if reply["order"].is_null() {
            tick(app, node);
            reply = beat(car, Value::Null);
        }
        if reply["order"].is_null() {
            return;
        }
        let mut number = 0;
        while !reply["order"].is_null() {
            number += 1;
            let output = "x".repeat(number * 300);
            reply = complete(app, car, &reply["order"].clone(), output.as_bytes());
        }
    }
}

store::on_both_databases! {
    fn a_map_and_a_reduce_run_and_are_downloaded(db) {
        let app = TestApp::start(db);
        let node: NodeId = app.db.store.env().ids.id(app.db.store.now());
        let (customer, owner) = (rich(&app), app.owner("olga"));
        let job = customer.post("/v1/jobs", &two_stages(&customer, 3)).expect(201);
        let states = |job: &Value| [0, 1].map(|n| job["stages"][n]["state"].clone());
        assert_eq!(states(&job), ["running", "waiting"]);
        assert_eq!(job["tasks"]["total"], 4);
        let path = path(&job);
        let nothing = customer.get(&format!("{path}/results")).expect(200);
        assert_eq!(nothing, json!({ "data": [], "after": 0, "has_more": false }));

        let (_, car) = car(&app, &owner, "cash");
        work_off(&app, &car, node);
        let done = customer.get(&path).expect(200);
        assert_eq!(done["state"], "completed", "{done}");
        assert_eq!(states(&done), ["completed", "completed"]);
        // An input that was made is the customer's to read.
        let tasks = customer.get(&format!("{path}/tasks")).expect(200);
        let input = tasks["data"][2]["input"].as_str().unwrap();
        assert_eq!(customer.get(&format!("/v1/blobs/{input}")).text, r#"{"seed": 2}"#);

        let first = customer.get(&format!("{path}/results?limit=3")).expect(200);
        assert_eq!((&first["after"], &first["has_more"]), (&json!(3), &json!(true)));
        let sizes: Vec<_> = first["data"].as_array().unwrap().iter().map(|it| &it["size"]).collect();
        assert_eq!(sizes, [300, 600, 900]);
        let rest = customer.get(&format!("{path}/results?after=3")).expect(200);
        assert_eq!((&rest["data"][0]["task"], &rest["has_more"]), (&json!(3), &json!(false)));
        customer.get(&format!("{path}/results?limit=0")).refused(400, "invalid_query");

        let attempts = customer.get(&format!("{path}/tasks/3/attempts")).expect(200);
        assert_eq!((&attempts[0]["state"], &attempts[0]["verdict"]), (&json!("completed"), &json!("paid")));
        customer.get(&format!("{path}/tasks/4/attempts")).refused(404, "not_found");

        let tar = download(&app, &customer, &format!("{path}/archive"), None);
        assert_eq!(tar, download(&app, &customer, &format!("{path}/archive"), None));
        let names = untar(&tar, &["-t"]);
        assert_eq!(names.lines().count(), 5, "{names}");
        assert_eq!(untar(&tar, &["-xO", "outputs/0000001"]), "x".repeat(600));
        let manifest: Value = serde_json::from_str(&untar(&tar, &["-xO", "manifest.json"])).unwrap();
        assert_eq!(manifest["outputs"][1]["digest"], first["data"][1]["digest"]);
        // Broken off anywhere, it goes on there.
        for from in [1, 511, 700, 2_000, tar.len() - 1] {
            let rest = download(&app, &customer, &format!("{path}/archive"), Some(from));
            assert!(tar[from..] == rest[..], "from {from}");
        }

        let other = app.customer("eve");
        for what in ["results", "archive", "tasks/0/attempts"] {
            other.get(&format!("{path}/{what}")).refused(404, "not_found");
            owner.get(&format!("{path}/{what}")).refused(403, "wrong_role");
        }
        for what in ["pause", "resume", "clone"] {
            let body = if what == "pause" { json!({ "running": "finish" }) } else { json!({}) };
            other.post(&format!("{path}/{what}"), &body).refused(404, "not_found");
        }
    }
}

fn download(app: &TestApp, customer: &Client, path: &str, from: Option<usize>) -> Vec<u8> {
    let http = reqwest::blocking::Client::new();
    let mut request =
        http.get(format!("{}{path}", app.base)).bearer_auth(customer.token.as_deref().unwrap());
    if let Some(from) = from {
        request = request.header("Range", format!("bytes={from}-"));
    }
    let response = request.send().unwrap();
    assert_eq!(response.status().as_u16(), if from.is_some() { 206 } else { 200 });
    assert_eq!(response.headers()["content-type"], "application/x-tar");
    let length: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
    let bytes = response.bytes().unwrap().to_vec();
    assert_eq!(bytes.len(), length);
    bytes
}

/// What the tar of this machine makes of it.
fn untar(tar: &[u8], args: &[&str]) -> String {
    let (first, rest) = args.split_first().unwrap();
    let mut child = Command::new("tar")
        .arg(first)
        .args(["-f", "-"])
        .args(rest)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(tar).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

store::on_both_databases! {
    fn a_million_tasks_are_accepted_within_a_second(db) {
        let app = TestApp::start(db);
        let customer = rich(&app);
        let array = json!({ "template": "{index}", "count": 1_000_000 });
        let new = with(new_job(&customer), &json!({ "inputs": null, "array": array }));
        let began = std::time::Instant::now();
        let job = customer.post("/v1/jobs", &new).expect(201);
        assert!(began.elapsed().as_millis() < 1_000, "{:?}", began.elapsed());
        assert_eq!(job["tasks"]["total"], 1_000_000);
        assert_eq!(make(&app), 2_000);
        let tasks = customer.get(&format!("{}/tasks?limit=1", path(&job))).expect(200);
        assert_eq!(tasks["data"][0]["number"], 0);
    }
}

store::on_both_databases! {
    fn rows_are_counted_and_checked(db) {
        let app = TestApp::start(db);
        let customer = rich(&app);
        let rows = customer.upload(b"{\"x\":1}\n{\"x\":2}\n{\"x\":3}");
        for (array, tasks) in [
            (json!({ "rows": rows }), 3),
            (json!({ "rows": rows, "template": "{x}" }), 3),
        ] {
            let new = with(new_job(&customer), &json!({ "inputs": null, "array": array }));
            let job = customer.post("/v1/jobs", &new).expect(201);
            assert_eq!(job["tasks"]["total"], tasks);
            assert_eq!(make(&app), 3);
            customer.post(&format!("{}/cancel", path(&job)), &Value::Null).expect(200);
        }
        let bad = customer.upload(b"{\"x\":1}\nnonsense");
        let program = customer.upload(PROGRAM);
        let stage = |name: &str, source: Value| {
            with(json!({ "name": name, "runtime": "wasm", "program": program }), &source)
        };
        let staged = |stages: Value| json!({
            "inputs": null, "program": null, "runtime": null, "stages": stages,
        });
        let one = json!({ "array": { "template": "{index}", "count": 1 } });
        let missing = "0".repeat(64);
        let refusals = [
            (json!({ "inputs": null, "array": { "rows": bad } }), "invalid_body", "/array/rows"),
            (json!({ "inputs": null, "array": { "rows": missing } }), "unknown_blob", ""),
            (json!({ "inputs": null, "array": { "rows": "x" } }), "invalid_body", "/array/rows"),
            (json!({ "inputs": null, "array": { "count": 1 } }), "invalid_body", "/array"),
            (json!({ "inputs": null, "array": { "template": "", "count": 1_000_001 } }),
                "invalid_body", "/array/count"),
            (json!({ "inputs": null }), "invalid_body", "/inputs"),
            (json!({ "array": { "template": "", "count": 1 } }), "invalid_body", "/inputs"),
            (json!({ "inputs": [] }), "invalid_body", "/inputs"),
            (json!({ "priority": 10 }), "invalid_body", "/priority"),
            (json!({ "program_retries": 6 }), "invalid_body", "/program_retries"),
            (json!({ "early_stop": -1 }), "invalid_body", "/early_stop"),
            (json!({ "program": null }), "invalid_body", "/program"),
            (json!({ "runtime": null }), "invalid_body", "/runtime"),
            (staged(json!([stage("a", json!({ "from": "a" }))])), "invalid_body", "/stages"),
            (staged(json!([stage("a", json!({ "from": "b" }))])), "invalid_body", "/stages"),
            (staged(json!([stage("a", one.clone()), stage("a", one)])), "invalid_body", "/stages"),
            (staged(json!([stage("a", json!({}))])), "invalid_body", "/stages/0"),
            (staged(json!([stage("a", json!({ "from": "b", "per_task": 0 }))])),
                "invalid_body", "/stages/0/per_task"),
        ];
        let before = app.rows();
        for (change, code, pointer) in refusals {
            let refused = customer.post("/v1/jobs", &with(new_job(&customer), &change));
            let body = refused.refused(422, code);
            let at = body["errors"][0]["pointer"].as_str().unwrap_or_default();
            assert_eq!(at, pointer, "{change} {body}");
        }
        // But the blob `input`, which every new job here stores.
        let others = |rows: Vec<(&'static str, i64)>| -> Vec<_> {
            rows.into_iter().filter(|(table, _)| *table != "blob").collect()
        };
        assert_eq!(others(app.rows()), others(before));
    }
}

store::on_both_databases! {
    fn a_job_is_paused_goes_on_and_is_cloned(db) {
        let app = TestApp::start(db);
        let customer = rich(&app);
        let job = customer.post("/v1/jobs", &new_job(&customer)).expect(201);
        assert_eq!((&job["paused"], &job["priority"]), (&Value::Null, &json!(0)));
        let path = path(&job);
        let pause = |how: &str| customer.post(&format!("{path}/pause"), &json!({ "running": how }));
        assert_eq!(pause("finish").expect(200)["paused"], "finish");
        assert_eq!(pause("vacate").expect(200)["paused"], "vacate");
        pause("never").refused(422, "invalid_body");
        let resumed = customer.post(&format!("{path}/resume"), &Value::Null).expect(200);
        assert_eq!((&resumed["paused"], &resumed["state"]), (&Value::Null, &json!("active")));

        let clone = |body: &Value| customer.post(&format!("{path}/clone"), body);
        let budget = json!({ "amount": "0.500000", "currency": "USD" });
        let input = customer.upload(b"another");
        let changed = clone(&json!({ "name": "again", "budget": budget, "inputs": [input] })).expect(201);
        assert_eq!((&changed["name"], &changed["held"]), (&json!("again"), &budget));
        assert_eq!(changed["tasks"]["total"], 1);
        let same = clone(&json!({})).expect(201);
        assert_eq!((&same["bid"], &same["tasks"]), (&job["bid"], &job["tasks"]));
        assert_ne!(same["id"], job["id"]);
        let euros = json!({ "budget": { "amount": "1", "currency": "EUR" } });
        assert_eq!(clone(&euros).refused(422, "invalid_body")["errors"][0]["pointer"], "/budget/currency");
        clone(&json!({ "inputs": ["x"] })).refused(422, "invalid_body");
        clone(&json!({ "budget": { "amount": "50", "currency": "USD" } }))
            .refused(422, "insufficient_funds");

        customer.post(&format!("{path}/cancel"), &Value::Null).expect(200);
        pause("finish").refused(409, "wrong_state");
        customer.post(&format!("{path}/resume"), &Value::Null).refused(409, "wrong_state");
    }
}

store::on_both_databases! {
    fn what_is_banned_is_refused_until_the_ban_is_lifted(db) {
        let app = TestApp::start(db);
        let customer = rich(&app);
        let operator = operator(&app);
        let job = customer.post("/v1/jobs", &new_job(&customer)).expect(201);
        let me = customer.get("/v1/me").expect(200)["id"].clone();
        let program = customer.upload(PROGRAM);
        for (kind, subject) in [("program", json!(program)), ("customer", me)] {
            let ban = json!({ "kind": kind, "subject": subject, "reason": "it mines coins" });
            customer.post("/v1/bans", &ban).refused(403, "wrong_role");
            let made = operator.post("/v1/bans", &ban).expect(201);
            assert_eq!((&made["subject"], &made["lifted_at"]), (&subject, &Value::Null));
            let refused = customer.post("/v1/jobs", &new_job(&customer)).refused(403, "banned");
            assert_eq!(refused["detail"], "it mines coins");
            let clone = customer.post(&format!("{}/clone", path(&job)), &json!({}));
            clone.refused(403, "banned");
            assert_eq!(customer.get(&path(&job)).expect(200)["banned"], true);
            let lift = |client: &Client| {
                let path = format!("/v1/bans/{kind}/{}", subject.as_str().unwrap());
                client.send(&client.ask(Method::DELETE, &path, &Value::Null))
            };
            lift(&customer).refused(403, "wrong_role");
            lift(&operator).expect(204);
            lift(&operator).refused(404, "not_found");
            assert_eq!(customer.get(&path(&job)).expect(200)["banned"], false);
            customer.post("/v1/jobs", &new_job(&customer)).expect(201);
        }
        assert_eq!(operator.get("/v1/bans").expect(200), json!([]));
        let all = operator.get("/v1/bans?all=true").expect(200);
        assert_eq!(all.as_array().unwrap().len(), 2);
        for bad in [
            json!({ "kind": "program", "subject": "x", "reason": "r" }),
            json!({ "kind": "customer", "subject": "x", "reason": "r" }),
            json!({ "kind": "other", "subject": "x", "reason": "r" }),
            json!({ "kind": "program", "subject": program, "reason": "" }),
            json!({ "kind": "program", "subject": program, "reason": "r", "until": "2020-01-01T00:00:00Z" }),
        ] {
            operator.post("/v1/bans", &bad).refused(422, "invalid_body");
        }
    }
}

#[test]
fn the_command_line_bans_and_lifts_postgres() {
    let app = TestApp::start(TestDb::postgres());
    let customer = rich(&app);
    let program = customer.upload(PROGRAM);
    let admin = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_driveway"))
            .args(["admin", args[0], "--json", "--database-url", &app.db.url, "--data"])
            .arg(app.db.dir.path())
            .args(&args[1..])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let told: Value =
            serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap_or_default();
        (output.status.code(), told)
    };
    let reason = ["--reason", "it mines coins", "--hours", "1"];
    let (code, told) = admin(&[&["ban", "program", &program][..], &reason].concat());
    assert_eq!((code, &told["subject"]), (Some(0), &json!(program)));
    assert!(told["until"].is_string());
    customer.post("/v1/jobs", &new_job(&customer)).refused(403, "banned");
    assert_eq!(admin(&["unban", "program", &program]).0, Some(0));
    assert_eq!(admin(&["unban", "program", &program]).0, Some(1));
    assert_eq!(admin(&[&["ban", "program", "x"][..], &reason].concat()).0, Some(2));
    assert_eq!(admin(&[&["ban", "car", &program][..], &reason].concat()).0, Some(2));
    customer.post("/v1/jobs", &new_job(&customer)).expect(201);
}

fn operator(app: &TestApp) -> Client {
    use api::identity::{self, model::Role};
    let email = "operator@example.org";
    identity::add_user(&app.db.store, email, "Operator", Role::Operator, crate::app::PASSWORD)
        .unwrap();
    app.log_in(email)
}

/// In a worker of the real binary: what no car could run is refused before any money is held.
#[test]
fn programs_are_tried_in_a_sandbox_once() {
    let app = TestApp::start_with(TestDb::sqlite(), |config| {
        config.checker = Some(env!("CARGO_BIN_EXE_driveway").into());
    });
    let customer = rich(&app);
    let submit = |runtime: &str, program: &[u8]| {
        let program = customer.upload(program);
        let change = json!({ "program": program, "runtime": runtime });
        customer.post("/v1/jobs", &with(new_job(&customer), &change))
    };
    let good: &[u8] = include_bytes!("../../../workloads/scenario/scenario.wasm");
    submit("wasm", good).expect(201);
    for (runtime, bytes) in [("onnx", &b"no model"[..]), ("wasm", PROGRAM)] {
        // The second time it is remembered.
        for _ in 0..2 {
            let refused = submit(runtime, bytes).refused(422, "invalid_program");
            assert_eq!(refused["errors"][0]["pointer"], "/program", "{refused}");
        }
    }
    assert_eq!(customer.wallet().1, "1.000000");
}
