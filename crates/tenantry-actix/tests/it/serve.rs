//! Stopping a service, over real sockets and with real signals.

use std::{convert::Infallible, future::pending, io, net::TcpListener};

use actix_web::{
    App, Error, HttpResponse, HttpServer,
    http::StatusCode,
    web::{self, Bytes, Data},
};
use futures_util::Stream;
use tenantry_acceptance::serving::{ServedApp, Serves, work};
use tenantry_actix::{DbError, ServeOptions, ServeReport, TenantMiddleware, Tx, ops_scope};

struct Actix;

tenantry_acceptance::serving_suite!(Actix);

impl Serves for Actix {
    fn serve(
        listener: TcpListener,
        app: ServedApp,
        options: ServeOptions,
    ) -> impl Future<Output = io::Result<ServeReport>> + Send + 'static {
        let manager = app.manager.clone();
        let ops = ops_scope(app.manager.clone());
        let server = HttpServer::new(move || {
            let app = app.clone();
            App::new().configure(|service| routes(service, app)).service(ops.clone())
        });
        let server = server.workers(1).listen(listener).expect("it is bound");
        tenantry_actix::serve(server, &manager).options(options).into_future()
    }
}

fn routes(service: &mut web::ServiceConfig, app: ServedApp) {
    let of_a_tenant =
        web::resource("/tx").wrap(TenantMiddleware::new(app.manager.clone())).post(begin);
    service
        .app_data(Data::new(app))
        .service(of_a_tenant)
        .route("/quick", web::get().to(async || "quick"))
        .route("/body", web::post().to(body))
        .route("/never", web::get().to(never))
        .route(
            "/late",
            web::get()
                .to(async |app: Data<ServedApp>| stream(StatusCode::OK, work::late(&app.manager))),
        )
        .route("/large", web::get().to(async || stream(StatusCode::OK, work::large())))
        .route(
            "/events",
            web::get().to(async |app: Data<ServedApp>| {
                stream(StatusCode::OK, work::events(&app.manager))
            }),
        )
        .route("/endless", web::get().to(async || stream(StatusCode::OK, work::endless())))
        .route("/silent", web::get().to(async || stream(StatusCode::OK, work::silent())))
        .route(
            "/upgrade/events",
            web::get().to(async |app: Data<ServedApp>| {
                stream(StatusCode::SWITCHING_PROTOCOLS, work::events(&app.manager))
            }),
        )
        .route(
            "/upgrade/endless",
            web::get().to(async || stream(StatusCode::SWITCHING_PROTOCOLS, work::endless())),
        );
}

async fn body(app: Data<ServedApp>, body: web::Payload) -> Result<String, Error> {
    app.begun.notify_one();
    let body = body.to_bytes_limited(1_000).await;
    Ok(body.expect("it is short")?.len().to_string())
}

async fn never(app: Data<ServedApp>) -> &'static str {
    app.begun.notify_one();
    pending().await
}

async fn begin(app: Data<ServedApp>, Tx(mut tx): Tx) -> Result<&'static str, DbError> {
    work::begin(&mut tx).await?;
    app.begun.notify_one();
    pending().await
}

fn stream(
    status: StatusCode,
    parts: impl Stream<Item = Result<Bytes, Infallible>> + 'static,
) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    if status == StatusCode::SWITCHING_PROTOCOLS {
        // A websocket's answer, too, is a stream that begins with 101.
        response.upgrade("events");
    }
    response.streaming(parts)
}
