//! The server in this process: started, asked where it listens, stopped.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::{HttpServer, web};
use anyhow::{Context, anyhow};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use scheduler::Desk;
use store::Store;
use store::seal::Seal;
use utoipa_actix_web::AppExt;
use utoipa_swagger_ui::SwaggerUi;
use vehicle::{WorkerConfig, WorkerPool};

use crate::app::AppState;
use crate::blobs::Blobs;
use crate::config::Config;
use crate::http::{self, RouteMap};
use crate::identity::token::TokenKey;
use crate::keeper::{Keeper, Work};
use crate::mail::{Mailer, Transport};
use crate::openapi::{self, SpecText};
use crate::vehicle::Cars;

/// Seconds that requests have to finish when the server stops.
const DRAIN_S: u64 = 15;

/// A server that runs until [`Running::stop`].
pub struct Running {
    pub addr: SocketAddr,
    pub store: Store,
    pub desk: Desk,
    pub blobs: Blobs,
    tls: bool,
    handle: ServerHandle,
    http: JoinHandle<std::io::Result<()>>,
    mailer: Mailer,
    keeper: Keeper,
}

/// Opens the database and starts. Once it returns, the server answers.
pub fn start(config: &Config) -> anyhow::Result<Running> {
    start_on(config.data.open()?, config)
}

/// Starts on a database that is open already, with its clock.
pub fn start_on(store: Store, config: &Config) -> anyhow::Result<Running> {
    let blobs = Blobs::with_rows(&config.data.data.join("blobs"), store.clone())?;
    let seal = Seal::load(&store)?;
    let desk = Desk::new(store.clone(), config.scheduler.clone());
    let state = web::Data::new(AppState {
        store: store.clone(),
        blobs: blobs.clone(),
        tokens: TokenKey::load(&store, config.token_lifetime)?,
        seal: seal.clone(),
        cars: Cars::load(&store)?,
        scheduler: config.scheduler.clone(),
        desk: desk.clone(),
        quotes: tokio::sync::Semaphore::new(1),
        allow_test_deposits: config.allow_test_deposits,
        trusted_proxies: config.trusted_proxies,
        checker: config.checker.clone().map(checker).transpose()?,
    });
    let transport = match &config.smtp_url {
        Some(url) => Transport::smtp(url).context("the relay's URL")?,
        None => Transport::folder(config.data.data.join("mail"))?,
    };
    let from = config.mail_from.parse().context("the sender's address")?;
    let (addr, handle, http) = listen(state, config)?;
    let mailer = Mailer::start(store.clone(), transport, from)?;
    let keeper = Keeper::start(Work { store: store.clone(), seal })?;
    let tls = config.tls_cert.is_some();
    Ok(Running { addr, store, desk, blobs, tls, handle, http, mailer, keeper })
}

/// Workers that look at programs before they are accepted, apart from those of cars.
fn checker(executable: std::path::PathBuf) -> anyhow::Result<WorkerPool> {
    let args = vec!["worker".to_owned()];
    Ok(WorkerPool::new(WorkerConfig { executable, args, size: 1 })?)
}

impl Running {
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.addr)
    }

    /// Takes no more requests, answers those that are in, and ends. Not from async code.
    pub fn stop(self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(self.handle.stop(true));
        self.mailer.stop();
        self.keeper.stop();
        self.http.join().map_err(|_| anyhow!("the server panicked"))??;
        Ok(())
    }
}

type Listening = (SocketAddr, ServerHandle, JoinHandle<std::io::Result<()>>);

/// The server lives on a thread of its own, so that its owner need not be async.
fn listen(state: web::Data<AppState>, config: &Config) -> anyhow::Result<Listening> {
    let (tell, told) = mpsc::channel();
    let config = config.clone();
    let http = std::thread::Builder::new().name("http".to_owned()).spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            match bind(state, &config) {
                Ok((addr, server)) => {
                    let _gone = tell.send(Ok((addr, server.handle())));
                    server.await
                }
                Err(error) => {
                    let _gone = tell.send(Err(error));
                    Ok(())
                }
            }
        })
    })?;
    let (addr, handle) = told.recv().context("the server did not start")??;
    Ok((addr, handle, http))
}

/// A certificate and its key, for TLS 1.2 and 1.3.
fn tls(cert: &Path, key: Option<&Path>) -> anyhow::Result<ServerConfig> {
    let key = key.context("a certificate needs --tls-key")?;
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("the certificate {}", cert.display()))?;
    let private = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("the certificate's key {}", key.display()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = versions?.with_no_client_auth().with_single_cert(chain, private);
    config.context("the certificate and its key do not fit")
}

fn bind(state: web::Data<AppState>, config: &Config) -> anyhow::Result<(SocketAddr, Server)> {
    let spec = openapi::spec();
    let routes = web::Data::new(RouteMap::new(&spec));
    let text = web::Data::new(SpecText(spec.to_pretty_json()?));
    let mut server = HttpServer::new(move || {
        let (state, routes, text) = (state.clone(), routes.clone(), text.clone());
        actix_web::App::new()
            .into_utoipa_app()
            .configure(openapi::routes)
            .into_app()
            .app_data(state)
            .app_data(routes)
            .app_data(text)
            .app_data(web::PathConfig::default().error_handler(http::bad_path))
            .app_data(web::QueryConfig::default().error_handler(http::bad_query))
            .service(
                SwaggerUi::new("/docs/{_:.*}")
                    .config(utoipa_swagger_ui::Config::from("/openapi.json")),
            )
            .service(web::redirect("/docs", "/docs/"))
            .default_service(web::to(http::no_route))
            .wrap(from_fn(http::guard))
    })
    .client_request_timeout(Duration::from_secs(10))
    .shutdown_timeout(DRAIN_S)
    .disable_signals();
    if let Some(workers) = config.workers {
        server = server.workers(workers.into());
    }
    let server = match &config.tls_cert {
        Some(cert) => server.bind_rustls_0_23(config.listen, tls(cert, config.tls_key.as_deref())?),
        None => server.bind(config.listen),
    };
    let server = server.with_context(|| format!("listen on {}", config.listen))?;
    let addr = *server.addrs().first().context("no address to listen on")?;
    Ok((addr, server.run()))
}
