//! What the server is told at its start.

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use clap::Args;
use store::{Env, Store};

/// Where the data is.
#[derive(Args, Clone, Debug)]
pub struct DataConfig {
    /// Folder of the database, blobs and mail.
    #[arg(long, env = "DRIVEWAY_DATA", default_value = "driveway-data", value_name = "DIR")]
    pub data: PathBuf,
    /// sqlite://FILE or postgres://...; DIR/driveway.sqlite if not named.
    #[arg(long, env = "DRIVEWAY_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<String>,
}

impl DataConfig {
    pub fn in_folder(data: impl Into<PathBuf>) -> Self {
        Self { data: data.into(), database_url: None }
    }

    /// The database's URL.
    pub fn url(&self) -> String {
        let default = || format!("sqlite://{}", self.data.join("driveway.sqlite").display());
        self.database_url.clone().unwrap_or_else(default)
    }

    /// Opens the database, made if missing. A new folder is its owner's alone: the keys that sign
    /// tokens are in it.
    pub fn open(&self) -> store::Result<Store> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.data);
        made.map_err(|error| store::Error::File(self.data.display().to_string(), error))?;
        Store::open(&self.url(), Env::system())
    }

    /// Opens a database that is there: who reads one must not make an empty one by a wrong path.
    pub fn open_existing(&self) -> store::Result<Store> {
        let url = self.url();
        if let Some(path) = url.strip_prefix("sqlite://") {
            let found = std::fs::metadata(path);
            found.map_err(|error| store::Error::File(path.to_owned(), error))?;
        }
        Store::open(&url, Env::system())
    }
}

#[derive(Args, Clone, Debug)]
pub struct Config {
    #[command(flatten)]
    pub data: DataConfig,
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, env = "DRIVEWAY_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Certificate chain, in PEM: the server speaks HTTPS, and nothing else.
    #[arg(long, env = "DRIVEWAY_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM.
    #[arg(long, env = "DRIVEWAY_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Cars that live in this process.
    #[arg(long, env = "DRIVEWAY_VEHICLES", default_value_t = 0, value_name = "N")]
    pub vehicles: usize,
    /// Let customers pay in money out of thin air.
    #[arg(long, env = "DRIVEWAY_ALLOW_TEST_DEPOSITS")]
    pub allow_test_deposits: bool,
    /// Seconds that an access token lives.
    #[arg(long, env = "DRIVEWAY_TOKEN_LIFETIME", default_value_t = 600, value_name = "SECONDS",
          value_parser = clap::value_parser!(i64).range(1..=86_400))]
    pub token_lifetime: i64,
    /// Relay for mail, smtp://HOST:PORT; files in DIR/mail if not named.
    #[arg(long, env = "DRIVEWAY_SMTP_URL", value_name = "URL", hide_env_values = true)]
    pub smtp_url: Option<String>,
    /// Sender of mail.
    #[arg(long, env = "DRIVEWAY_MAIL_FROM", default_value = "Driveway <no-reply@localhost>")]
    pub mail_from: String,
    /// Reverse proxies between clients and the server, each of which appends to X-Forwarded-For.
    #[arg(long, env = "DRIVEWAY_TRUSTED_PROXIES", default_value_t = 0, value_name = "N",
          value_parser = clap::value_parser!(u8).range(0..=8))]
    pub trusted_proxies: u8,
    /// Threads that answer requests; one a processor if not named.
    #[arg(long, env = "DRIVEWAY_WORKERS", value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: Option<u16>,
    /// Milliseconds between ticks of a market.
    #[arg(long, env = "DRIVEWAY_TICK_MS", default_value_t = 10_000, value_name = "MS",
          value_parser = clap::value_parser!(u32).range(50..=600_000))]
    pub tick_ms: u32,
    /// Milliseconds between looks for what the ledger's next block can seal.
    #[arg(long, env = "DRIVEWAY_SEAL_MS", default_value_t = 2_000, value_name = "MS",
          value_parser = clap::value_parser!(u32).range(50..=600_000))]
    pub seal_ms: u32,
    /// Seconds between signed statements of what is owed to whom.
    #[arg(long, env = "DRIVEWAY_STATEMENT_S", default_value_t = 3_600, value_name = "SECONDS",
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub statement_s: u32,
    /// Most of a market's cars that one customer may have at a time, percent.
    #[arg(long, env = "DRIVEWAY_SHARE_CAP", default_value_t = 100, value_name = "PERCENT",
          value_parser = clap::value_parser!(u32).range(1..=100))]
    pub share_cap: u32,
    /// The program that looks at customers' programs, as `PROGRAM worker`; none: nobody does.
    #[arg(skip = std::env::current_exe().ok())]
    pub checker: Option<PathBuf>,
    #[arg(skip)]
    pub scheduler: scheduler::Config,
}

impl Config {
    /// For tests and the demo: any free port of this machine, everything else by default.
    pub fn local(data: DataConfig) -> Self {
        Self {
            data,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls_cert: None,
            tls_key: None,
            vehicles: 0,
            allow_test_deposits: false,
            token_lifetime: 600,
            smtp_url: None,
            mail_from: "Driveway <no-reply@localhost>".to_owned(),
            trusted_proxies: 0,
            workers: None,
            tick_ms: 10_000,
            seal_ms: 2_000,
            statement_s: 3_600,
            share_cap: 100,
            checker: None,
            scheduler: scheduler::Config::default(),
        }
    }
}
