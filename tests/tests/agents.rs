//! Cars as programs of their own: two `driveway vehicle` over TLS do a customer's job, while one is
//! unplugged, one killed, and the network of one is cut and healed.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use end_to_end::{Client, Cut, Http, Method, Place, Proxy, Server, driveway, new_key, workload};
use serde_json::{Value, json};

const TASKS: usize = 16;

#[test]
fn agents_over_tls_lose_and_double_nothing_sqlite() {
    agents(&Place::sqlite());
}

#[test]
fn agents_over_tls_lose_and_double_nothing_postgres() {
    agents(&Place::postgres());
}

fn agents(place: &Place) {
    let tls = Tls::make(place.dir.path());
    let args = ["--tick-ms", "200"];
    let server = Server::start_tls(place, &args, &tls.cert, &tls.key, &tls.client());
    let customer = Client::sign_up_by(tls.client(), &server.base, "c@customer.example", "customer");
    let owner = Client::sign_up_by(tls.client(), &server.base, "o@owner.example", "owner");
    let wealth = json!({ "amount": { "amount": "50", "currency": "USD" }, "source": "test" });
    customer.post(&server.base, "/v1/deposits", &new_key(), &wealth).unwrap();

    let network = Proxy::start();
    network.point_at(&server.base);
    let through = network.base().replace("http://", "https://");
    let mut steady = Car::enrol(place, &tls, &server.base, &server.base, &owner, "steady");
    let mut unlucky = Car::enrol(place, &tls, &server.base, &through, &owner, "unlucky");
    steady.start();
    unlucky.start();

    let program = customer.upload(&server.base, &workload("scenario/scenario.wasm"));
    let input = customer.upload(&server.base, &sweep());
    let job = customer.post(&server.base, "/v1/jobs", &new_key(), &new_job(&program, &input));
    let job = job.unwrap()["id"].as_str().unwrap().to_owned();
    let watch = Watch { server: &server, place, customer: &customer, owner: &owner, job: &job };

    watch.until_both_work();
    // The network of one is cut while it works, and heals: it goes on in its lease.
    watch.until("it works", || watch.completed(&unlucky) > 0);
    let before = watch.completed(&unlucky);
    network.cut(Cut::Reset);
    std::thread::sleep(Duration::from_secs(3));
    network.heal();
    watch.until("it goes on", || watch.completed(&unlucky) > before + 1);
    assert_eq!(watch.leases_of(&unlucky).len(), 1, "the lease outlived the cut");
    // The other is killed, and goes on once it is started again with its key.
    let before = watch.completed(&steady);
    steady.kill();
    steady.start();
    watch.until("it goes on", || watch.completed(&steady) > before);
    // The driver of the first comes back in the middle of a task: the car leaves at once, and the
    // other does the rest.
    unlucky.say(&driver_back());
    watch.until("it leaves", || watch.leases_of(&unlucky)[0]["end_reason"] == "vacated");
    watch.until_done();
    let tasks = customer.pages(&server.base, &format!("/v1/jobs/{job}/tasks"));
    let outputs: Vec<&str> = tasks.iter().filter_map(|task| task["output"].as_str()).collect();
    assert_eq!(outputs.len(), TASKS, "{tasks:?}");
    let different: HashSet<&str> = outputs.into_iter().collect();
    assert_eq!(different.len(), 1, "one input, one output: {tasks:?}");
    let wallet = customer.get(&server.base, "/v1/wallet").unwrap();
    assert_eq!(wallet["held"]["amount"], "0.000000", "every hold ends");

    drop((steady, unlucky));
    assert_eq!(server.interrupt(), Some(0), "Ctrl-C drains");
    assert_eq!(place.json(&["ledger", "check"])["clean"], true);
    let out = place.dir.path().join("journal.csv");
    let export = ["ledger", "export", "--format", "csv", "--out", out.to_str().unwrap()];
    assert!(place.run(&export).status.success());
    settled_once(&std::fs::read_to_string(out).unwrap());
}

/// No lease is settled twice.
fn settled_once(journal: &str) {
    let rows = journal.lines().skip(1).map(|row| row.split(',').collect::<Vec<_>>());
    let settled: HashSet<(String, String)> = rows
        .filter(|columns| columns[1] == "settlement")
        .map(|columns| (columns[2].to_owned(), columns[0].to_owned()))
        .collect();
    let leases: HashSet<_> = settled.iter().map(|(lease, _)| lease).collect();
    assert!(leases.len() >= 2, "{settled:?}");
    assert_eq!(leases.len(), settled.len(), "{settled:?}");
}

fn sweep() -> Vec<u8> {
    let mut task: Value = serde_json::from_slice(&workload("scenario/task.json")).unwrap();
    task["runs"] = 1_500.into();
    serde_json::to_vec(&task).unwrap()
}

fn new_job(program: &str, input: &str) -> Value {
    let usd = |amount: &str| json!({ "amount": amount, "currency": "USD" });
    json!({
        "name": "two cars",
        "market": "us",
        "runtime": "wasm",
        "program": program,
        "purpose": "simulation",
        "data_class": "synthetic",
        "inputs": vec![input; TASKS],
        "bid": { "max_price": usd("1"), "lanes": 2, "budget": usd("5") },
    })
}

fn at_home() -> Value {
    json!({
        "Gear": "P", "VehicleSpeed": 0.0, "DriverSeatOccupied": false, "Locked": true,
        "ServiceMode": false, "ValetMode": false, "DetailedChargeState": "Charging",
        "Soc": 70.0, "ModuleTempMax": 25.0,
        "DoorState": { "DriverFront": false, "DriverRear": false, "PassengerFront": false,
            "PassengerRear": false, "TrunkFront": false, "TrunkRear": false },
    })
}

fn driver_back() -> Value {
    let mut telemetry = at_home();
    telemetry["DriverSeatOccupied"] = true.into();
    telemetry["DetailedChargeState"] = "Disconnected".into();
    telemetry
}

/// A certificate for this machine, and who trusts it.
struct Tls {
    cert: PathBuf,
    key: PathBuf,
    pem: String,
}

impl Tls {
    fn make(dir: &Path) -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
        let pem = made.cert.pem();
        std::fs::write(&cert, &pem).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        Self { cert, key, pem }
    }

    fn client(&self) -> Http {
        let root = reqwest::Certificate::from_pem(self.pem.as_bytes()).unwrap();
        Http::builder().tls_certs_only([root]).build().unwrap()
    }
}

/// A `driveway vehicle` with its files. Dropping it kills it.
struct Car {
    id: String,
    ca: PathBuf,
    key: PathBuf,
    telemetry: PathBuf,
    server: String,
    child: Option<Child>,
}

impl Car {
    /// Added and consented to by its owner at `base`; itself it calls `server`.
    fn enrol(
        place: &Place,
        tls: &Tls,
        base: &str,
        server: &str,
        owner: &Client,
        name: &str,
    ) -> Self {
        let new = json!({ "region": "us-ca", "class": "hw4", "reserve": "0.09", "pay_in": "cash" });
        let added = owner.post(base, "/v1/vehicles", &new_key(), &new).unwrap();
        let id = added["id"].as_str().unwrap().to_owned();
        let path = format!("/v1/vehicles/{id}/consents/simulation/synthetic");
        owner.insist(Method::PUT, base, &path, &Value::Null).unwrap();
        let path = format!("/v1/vehicles/{id}/enrolment");
        let code = owner.insist(Method::POST, base, &path, &Value::Null).unwrap();
        let file = |kind: &str| place.dir.path().join(format!("{name}.{kind}"));
        let server = server.to_owned();
        let (ca, key, telemetry) = (tls.cert.clone(), file("pem"), file("json"));
        let car = Self { id, ca, key, telemetry, server, child: None };
        let mut enrol = car.command(&["enrol", "--json", "--code", code["code"].as_str().unwrap()]);
        let answer = enrol.output().unwrap();
        assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
        let told: Value = serde_json::from_slice(&answer.stdout).unwrap();
        assert_eq!(told["vehicle"], car.id);
        // Its answer lost, it asks again: it is enrolled. Another key with that code is refused.
        let again = enrol.output().unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&again.stdout).unwrap(), told);
        std::fs::rename(&car.key, file("kept")).unwrap();
        assert_eq!(enrol.output().unwrap().status.code(), Some(1));
        std::fs::rename(file("kept"), &car.key).unwrap();
        car.say(&at_home());
        car
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(driveway());
        command.arg("vehicle").args(args).args(["--server", &self.server]);
        command.arg("--key").arg(&self.key).arg("--ca").arg(&self.ca);
        command
    }

    /// What its bus bridge does: the file is whole at every moment.
    fn say(&self, telemetry: &Value) {
        let beside = self.telemetry.with_extension("new");
        std::fs::write(&beside, telemetry.to_string()).unwrap();
        std::fs::rename(beside, &self.telemetry).unwrap();
    }

    fn start(&mut self) {
        let mut command = self.command(&[]);
        command.arg("--telemetry").arg(&self.telemetry);
        let log = self.telemetry.with_extension("log");
        let log = OpenOptions::new().create(true).append(true).open(log).unwrap();
        self.child = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    }

    /// `kill -9`.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Car {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What the parties see.
struct Watch<'a> {
    server: &'a Server,
    place: &'a Place,
    customer: &'a Client,
    owner: &'a Client,
    job: &'a str,
}

impl Watch<'_> {
    fn leases(&self) -> Vec<Value> {
        self.customer.pages(&self.server.base, &format!("/v1/jobs/{}/leases", self.job))
    }

    fn leases_of(&self, car: &Car) -> Vec<Value> {
        self.leases().into_iter().filter(|lease| lease["vehicle"] == car.id).collect()
    }

    /// Attempts of the car that completed.
    fn completed(&self, car: &Car) -> usize {
        let leases = self.leases_of(car);
        let attempts = leases.iter().flat_map(|lease| lease["attempts"].as_array().unwrap());
        attempts.filter(|attempt| attempt["state"] == "completed").count()
    }

    fn until(&self, what: &str, mut seen: impl FnMut() -> bool) {
        let began = Instant::now();
        while !seen() {
            let left = began.elapsed() < Duration::from_secs(120);
            assert!(left, "{what}: {:?} {:?}{}", self.leases(), self.state(), self.cars());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// How the owner sees the cars, and what they said themselves.
    fn cars(&self) -> String {
        let cars = self.owner.pages(&self.server.base, "/v1/vehicles");
        let mut text = format!("{cars:#?}");
        for car in ["steady", "unlucky"] {
            let log = self.place.dir.path().join(car).with_extension("log");
            text.push_str(&std::fs::read_to_string(log).unwrap_or_default());
        }
        text
    }

    fn state(&self) -> Value {
        self.customer.get(&self.server.base, &format!("/v1/jobs/{}", self.job)).unwrap()
    }

    fn until_both_work(&self) {
        let works =
            || self.leases().iter().filter(|lease| lease["state"] == "running").count() == 2;
        self.until("both work", works);
    }

    fn until_done(&self) {
        self.until("done", || {
            let state = self.state();
            assert!(state["state"] == "active" || state["state"] == "completed", "{state}");
            state["state"] == "completed" && state["held"]["amount"] == "0.000000"
        });
    }
}
