//! Everything that the storm befalls: a server behind a network that can be cut, a thousand cars in
//! a process of their own, their owners, an operator.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use end_to_end::{Client, Method, Place, Proxy, Server, driveway};
use serde_json::{Value, json};
use vehicle::road::{Key, Net, enrol};

const PASSWORD: &str = "an example password";
const OWNERS: usize = 8;
const CARS_EACH: usize = 125;
const CLASSES: [&str; 3] = ["hw3", "hw4", "ai5"];
const REGIONS: [&str; 2] = ["us-ca", "us-tx"];
/// How long a caller waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

pub struct Town<'a> {
    place: &'a Place,
    pub network: Proxy,
    pub customer: Client,
    pub operator: Client,
    owners: Vec<Client>,
    /// Whose a car is.
    owner_of: HashMap<String, usize>,
    server: Option<Server>,
    fleet: Option<Fleet>,
    seed: u64,
    /// Fleets there were.
    fleets: u64,
}

/// The cars' process. Dropping it kills it.
struct Fleet {
    child: Child,
    orders: ChildStdin,
}

impl<'a> Town<'a> {
    /// A town where cars are enrolled and wait to be driven.
    pub fn build(place: &'a Place, seed: u64) -> Self {
        create_operator(place);
        let network = Proxy::start();
        let server = start_server(place);
        network.point_at(&server.base);
        let base = network.base();
        let sign_up = |email: &str, role| {
            Client::sign_up(&base, &format!("{email}@{role}.example"), role).impatient(PATIENCE)
        };
        let mut operator = Client::default();
        operator.log_in(&base, "chaos@operator.example", PASSWORD);
        let owners: Vec<Client> =
            (0..OWNERS).map(|n| sign_up(&format!("chaos-{n}"), "owner")).collect();
        let mut town = Self {
            place,
            customer: sign_up("chaos", "customer"),
            operator: operator.impatient(PATIENCE),
            owner_of: HashMap::new(),
            server: Some(server),
            fleet: None,
            seed,
            fleets: 0,
            network,
            owners,
        };
        town.enrol_cars();
        town.start_fleet(0);
        town
    }

    pub fn base(&self) -> String {
        self.network.base()
    }

    fn enrol_cars(&mut self) {
        let base = self.base();
        let net = Net::new(&base, None).unwrap();
        std::fs::create_dir_all(self.keys()).unwrap();
        let (keys, base, net) = (self.keys(), base.as_str(), &net);
        let enrolled: Vec<Vec<String>> = std::thread::scope(|scope| {
            let owners = self.owners.iter().enumerate();
            let enrol = |(number, owner)| {
                let keys = keys.join(format!("{number}-"));
                scope.spawn(move || enrol_all(owner, base, net, &keys))
            };
            let all: Vec<_> = owners.map(enrol).collect();
            all.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for (owner, cars) in enrolled.into_iter().enumerate() {
            self.owner_of.extend(cars.into_iter().map(|id| (id, owner)));
        }
    }

    /// The folder of the cars' keys.
    fn keys(&self) -> PathBuf {
        self.place.dir.path().join("keys")
    }

    /// Without so many of a million cars.
    pub fn start_fleet(&mut self, missing_ppm: u32) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_chaos-fleet"))
            .arg(self.base())
            .arg(self.keys())
            .args([(self.seed + self.fleets).to_string(), missing_ppm.to_string()])
            .arg(driveway())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        self.fleets += 1;
        let orders = child.stdin.take().unwrap();
        self.fleet = Some(Fleet { child, orders });
    }

    pub fn kill_fleet(&mut self) {
        self.fleet = None;
    }

    /// What befalls the drivers.
    pub fn tell_fleet(&mut self, order: &str) {
        if let Some(fleet) = &mut self.fleet {
            writeln!(fleet.orders, "{order}").unwrap();
        }
    }

    pub fn kill_server(&mut self) {
        self.server.take().unwrap().kill();
    }

    pub fn start_server(&mut self) {
        let server = start_server(self.place);
        self.network.point_at(&server.base);
        self.server = Some(server);
    }

    /// Ctrl-C, for fleet and server.
    pub fn close(mut self) {
        self.fleet = None;
        let code = self.server.take().unwrap().interrupt();
        assert_eq!(code, Some(0), "Ctrl-C drains");
    }

    /// Cars with a lease of this job that runs, or is about to.
    pub fn cars_of(&self, job: &str) -> Vec<String> {
        let path = format!("/v1/jobs/{job}/leases?limit=100");
        let page = self.customer.insist(Method::GET, &self.base(), &path, &Value::Null).unwrap();
        let leases = page["data"].as_array().unwrap();
        let live = leases.iter().filter(|lease| lease["ended_at"].is_null());
        live.map(|lease| lease["vehicle"].as_str().unwrap().to_owned()).collect()
    }

    /// `PUT` gives, `DELETE` withdraws the consent that the work needs.
    pub fn change_consent(&self, way: &Method, cars: &[String]) {
        for car in cars {
            let path = format!("/v1/vehicles/{car}/consents/simulation/synthetic");
            let owner = &self.owners[self.owner_of[car]];
            owner.insist(way.clone(), &self.base(), &path, &Value::Null).unwrap();
        }
    }

    /// `PUT` halts, `DELETE` opens.
    pub fn change_halt(&self, way: &Method, region: &str) {
        let path = format!("/v1/markets/us/regions/{region}/halt");
        let body = if *way == Method::PUT { json!({ "reason": "chaos" }) } else { Value::Null };
        self.operator.insist(way.clone(), &self.base(), &path, &body).unwrap();
    }
}

fn start_server(place: &Place) -> Server {
    Server::start_with(place, &["--tick-ms", "2000"])
}

/// Operators come from the command line only.
fn create_operator(place: &Place) {
    let mut child = Command::new(driveway())
        .args(["admin", "create-user", "--role", "operator", "--email", "chaos@operator.example"])
        .arg("--password-stdin")
        .arg("--data")
        .arg(place.data())
        .args(["--database-url", &place.url])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// Enrols an owner's cars, with the consent that the work needs; their ids. The keys are in files
/// whose names begin so.
fn enrol_all(owner: &Client, base: &str, net: &Net, keys: &Path) -> Vec<String> {
    let car = |number: usize| {
        let new = json!({
            "region": REGIONS[number % REGIONS.len()],
            "class": CLASSES[number % CLASSES.len()],
            "reserve": "0.090000",
            "pay_in": if number.is_multiple_of(5) { "credits" } else { "cash" },
        });
        let car = owner.insist(Method::POST, base, "/v1/vehicles", &new).unwrap();
        let id = car["id"].as_str().unwrap();
        let path = format!("/v1/vehicles/{id}/consents/simulation/synthetic");
        owner.insist(Method::PUT, base, &path, &Value::Null).unwrap();
        let path = format!("/v1/vehicles/{id}/enrolment");
        let code = owner.insist(Method::POST, base, &path, &Value::Null).unwrap();
        let key = Key::generate().unwrap();
        key.create(Path::new(&format!("{}{number:03}", keys.display()))).unwrap();
        assert_eq!(enrol(net, code["code"].as_str().unwrap(), &key).unwrap(), id);
        id.to_owned()
    };
    (0..CARS_EACH).map(car).collect()
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
