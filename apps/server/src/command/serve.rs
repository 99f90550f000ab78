use std::{io, net::SocketAddr, time::Duration};

use actix_web::{App as ActixApp, HttpServer, dev::ServerHandle, middleware, web};

use crate::{
    background::Stopper,
    command::CommandError,
    config::{Config, ObjectsUrl, StoreUrl},
    http::{self, App, docs, edge, metrics},
    wiring::{self, HashCost, StartError},
};

/// Seconds that a request in flight has to finish when the server is told to stop.
const GRACE_SECONDS: u64 = 30;
/// For the messages that are being sent at that moment: longer than any try of one takes.
const BACKGROUND_GRACE: Duration = Duration::from_secs(15);
/// Seconds for the head of a request.
const HEAD_SECONDS: u64 = 5;
const KEEP_ALIVE_SECONDS: u64 = 75;
/// Seconds for which the rest of a body that was refused is still taken in and thrown away, so that its sender reads why.
const LINGER_SECONDS: u64 = 5;
/// Connections of one worker thread; more wait in the listen queue.
const MAX_CONNECTIONS_PER_WORKER: usize = 12_500;

pub async fn run(config: &Config) -> Result<(), CommandError> {
    let wired = wiring::wire(config, HashCost::default()).await?;
    let running = start(config, wired.app)?;
    let (stopper, stop) = Stopper::new();
    let background = actix_web::rt::spawn(wired.background.run(stop));
    warn_of_what_is_not_set_up(config);
    let address = running.address;
    // Its first poll takes over the signals. Who reads that it serves may stop it at once, and gracefully.
    let serving = actix_web::rt::spawn(running.finished);
    tokio::task::yield_now().await;
    tracing::info!(%address, store = ?config.store, objects = ?config.objects, "serving");
    let finished = serving.await;
    // Messages go on while requests in flight are finished, and no longer.
    stopper.stop();
    if tokio::time::timeout(BACKGROUND_GRACE, background).await.is_err() {
        tracing::warn!(
            "the background work did not end in time; what it held is another's to take when its lease is over"
        );
    }
    finished.map_err(io::Error::other).and_then(|served| served).map_err(CommandError::Serve)?;
    tracing::info!("stopped; what was in flight is finished");
    Ok(())
}

fn warn_of_what_is_not_set_up(config: &Config) {
    if let StoreUrl::MongoDb(address) = &config.store
        && !address.is_encrypted()
    {
        tracing::warn!(
            "the connection to the database is not encrypted: records can be read on the way; add tls=true to \
             INFIRMARY_STORE unless nothing but this house is on that network"
        );
    }
    if let (StoreUrl::MongoDb(_), ObjectsUrl::File(folder)) = (&config.store, &config.objects) {
        tracing::warn!(
            folder = %folder.display(),
            "the bytes of images and reports are in a folder: other machines on this database need the same one, or better \
             a bucket by INFIRMARY_OBJECTS"
        );
    }
    match &config.whatsapp {
        None => tracing::warn!(
            "no sender of messages is set up: one-time codes go to this log, where whoever reads it can use them; \
             set INFIRMARY_WHATSAPP_PHONE_NUMBER_ID before people rely on codes"
        ),
        Some(whatsapp) if whatsapp.webhook.is_none() => {
            tracing::warn!("INFIRMARY_WHATSAPP_APP_SECRET is not set: nobody will tell whether messages arrive");
        }
        Some(_) => {}
    }
}

/// A server that has begun to listen.
pub struct Running {
    /// As it is, when the port was left to the system (0).
    pub address: SocketAddr,
    pub handle: ServerHandle,
    pub finished: actix_web::dev::Server,
}

/// Binds and begins to serve. Signals (SIGTERM, SIGINT) stop it: no new requests, those in flight are finished.
pub fn start(config: &Config, app: App) -> Result<Running, CommandError> {
    let legacy_api = config.legacy_api;
    let document = http::openapi(legacy_api);
    http::access::check(&document).map_err(StartError::Internal)?;
    let paths = web::Data::new(http::Paths::of(&document));
    let json = web::Data::new(docs::Document(
        document.to_json().map_err(|error| StartError::Internal(error.to_string()))?.into(),
    ));
    let app = web::Data::new(app);
    start_metrics(config, &app)?;

    let served = app.clone();
    let server = HttpServer::new(move || {
        ActixApp::new()
            .app_data(served.clone())
            .app_data(paths.clone())
            .app_data(json.clone())
            .wrap(http::cors(&served.cors_origins))
            .wrap(middleware::from_fn(edge::edge))
            .configure(http::routes_with(legacy_api))
            .service(docs::openapi_json)
            .service(docs::to_page)
            .service(docs::page())
            .service(metrics::metrics)
            .default_service(web::to(http::elsewhere))
    })
    .workers(config.workers)
    .shutdown_timeout(GRACE_SECONDS)
    .client_request_timeout(Duration::from_secs(HEAD_SECONDS))
    .client_disconnect_timeout(Duration::from_secs(LINGER_SECONDS))
    .keep_alive(Duration::from_secs(KEEP_ALIVE_SECONDS))
    .max_connections(MAX_CONNECTIONS_PER_WORKER)
    .bind(config.listen)
    .map_err(|source| CommandError::Listen { address: config.listen, source })?;
    let address = server.addrs().first().copied().unwrap_or(config.listen);
    let finished = server.run();
    Ok(Running { address, handle: finished.handle(), finished })
}

/// Metrics on an address of their own, when the configuration names one.
fn start_metrics(config: &Config, app: &web::Data<App>) -> Result<(), CommandError> {
    let Some(address) = config.metrics_listen else { return Ok(()) };
    let app = app.clone();
    let server = HttpServer::new(move || {
        ActixApp::new().app_data(app.clone()).wrap(middleware::from_fn(edge::edge)).service(metrics::open_metrics)
    })
    .workers(1)
    .disable_signals()
    .bind(address)
    .map_err(|source| CommandError::Listen { address, source })?;
    // It ends with the process; there is nothing in flight to wait for.
    actix_web::rt::spawn(server.run());
    Ok(())
}
