//! The cases that every adapter has to pass.

use actix_web::{
    App as ActixApp, Error, HttpMessage, HttpRequest, HttpResponse, HttpServer,
    body::MessageBody,
    dev::{ServerHandle, ServiceRequest, ServiceResponse},
    http::{StatusCode, header::HeaderName},
    middleware::{Next, from_fn},
    web::{self, Bytes, JsonConfig},
};
use futures_util::TryStreamExt;
use serde::Deserialize;
use tenantry::{Tenant, context};
use tenantry_acceptance::{
    Adapter, App, BODY_LIMIT, Claim, DOMAIN, PATH_PREFIX, Resolver, Server, tenant_in_store,
    tenant_of_claim, tenant_of_host, tenant_of_query, work,
};
use tenantry_actix::{
    Authorize, AuthorizeError, ContextMiddleware, CurrentTenant, Db, DbError, Mapped, Optional,
    Shared, Switch, TenantDb, TenantMiddleware, Tx, TxWith, resolve, response_for,
};

struct Actix;

tenantry_acceptance::suite!(Actix);

impl Adapter for Actix {
    async fn serve(app: App) -> Server {
        let middleware = TenantMiddleware::new(app.manager.clone());
        let server = HttpServer::new(move || {
            let covered = web::scope("")
                .wrap(with_resolver(middleware.clone(), app.resolver))
                .wrap(from_fn(verify))
                .configure(|service| routes(service, &middleware));
            let bound = |service: &mut web::ServiceConfig| bound(service, &middleware);
            ActixApp::new()
                .wrap(from_fn(tell))
                .app_data(JsonConfig::default().limit(BODY_LIMIT))
                .service(
                    web::scope("/optional")
                        .wrap(middleware.clone().optional())
                        .route("/name", web::get().to(maybe_name))
                        .route("/plan", web::get().to(plan)),
                )
                .service(
                    web::scope("/managed")
                        .app_data(app.manager.clone())
                        .route("/plan", web::get().to(plan)),
                )
                .route("/outside/plan", web::get().to(plan))
                .route("/outside/db", web::get().to(async |_: Db| ""))
                .route("/outside/tx", web::get().to(async |_: Tx| ""))
                .route("/outside/tenant", web::get().to(tenant))
                .route("/outside/open", web::get().to(async || "open"))
                .configure(bound)
                .service(covered)
        });
        let server = server.workers(2).h1_allow_half_closed(false).disable_signals();
        let server = server.bind_auto_h2c(("127.0.0.1", 0)).expect("a port is free");
        let address = server.addrs()[0];
        let server = server.run();
        let running = Running(server.handle());
        tokio::spawn(server);
        Server::new(address, running)
    }
}

struct Running(ServerHandle);

impl Drop for Running {
    fn drop(&mut self) {
        // The command is sent at once; the future only waits until it is carried out.
        drop(self.0.stop(false));
    }
}

/// The routes inside of the middleware.
fn routes(service: &mut web::ServiceConfig, middleware: &TenantMiddleware) {
    let inner = middleware.clone().resolver(resolve::Header::from_static("x-inner"));
    let members = web::resource("/members/name").wrap(middleware.clone().authorize(Members));
    let nested = web::resource("/nested/tenant").wrap(inner.clone());
    let nested_optional = web::resource("/nested-optional/tenant").wrap(inner.optional());
    service
        .service(web::resource("/tenant").get(tenant).route(web::head().to(tenant)))
        .route("/t/{tenant}/users/{id}", web::get().to(user))
        .route("/name", web::get().to(name))
        .route("/own-name", web::get().to(own_name))
        .route("/plan", web::get().to(plan))
        .route("/users", web::post().to(add))
        .route("/raw", web::post().to(raw))
        .route("/forget", web::post().to(forget))
        .route("/fail/{how}", web::get().to(fail))
        .route("/mapped/{how}", web::get().to(mapped))
        .route("/wrapped/{how}", web::get().to(wrapped))
        .route("/status/{code}", web::get().to(status))
        .route("/slow", web::post().to(slow))
        .route("/slow-tx", web::post().to(slow_in))
        .route("/panic", web::post().to(panics))
        .route("/rows", web::get().to(rows))
        .route("/events", web::get().to(events))
        .service(members.get(name))
        .service(nested.get(tenant))
        .service(nested_optional.get(maybe_tenant));
}

/// The routes whose middleware compares the tenant with the caller's.
fn bound(service: &mut web::ServiceConfig, middleware: &TenantMiddleware) {
    let by_claim =
        middleware.clone().bound_to(|request| tenant_of_claim(request.extensions().get::<Claim>()));
    let by_store = middleware
        .clone()
        .bound_to(|request| tenant_in_store(request.extensions().get::<Claim>().cloned()));
    let optional = by_claim.clone().optional();
    let guests = web::resource("/guests/tenant").wrap(middleware.clone().authorize(Guests));
    let with_hook = by_claim.clone().authorize(Members);
    let user = |request: &ServiceRequest| {
        let user = request.headers().get("x-user").and_then(|user| user.to_str().ok());
        user.map(str::to_owned)
    };
    let act_as = resolve::Header::from_static("x-act-as-tenant");
    let acting = by_claim
        .clone()
        .authorize(move |_: &TenantDb, request: &ServiceRequest| {
            let is_member = user(request).is_some_and(|user| user == "member");
            async move { is_member.then_some(()).ok_or(AuthorizeError::Denied) }
        })
        .switch(act_as, move |_: &Switch, request: &ServiceRequest| {
            work::is_operator(user(request))
        });
    let names = async || {
        let names = work::names_in_context().map_ok(Bytes::from).map_err(DbError::from);
        HttpResponse::Ok().streaming(names)
    };
    let open = async || if context::current().is_err() { "open" } else { "" };
    let in_context = ContextMiddleware::new();
    service
        .service(
            web::resource("/context/names").wrap(in_context).wrap(middleware.clone()).get(names),
        )
        .service(
            web::resource("/context-optional/open")
                .wrap(in_context)
                .wrap(middleware.clone().optional())
                .get(open),
        );
    service
        .service(web::resource("/acting/tenant").wrap(acting).wrap(from_fn(verify)).get(acting_for))
        .service(guests.get(tenant))
        .service(web::resource("/bound/name").wrap(with_hook).wrap(from_fn(verify)).get(name))
        .service(
            web::resource("/bound-by-store/tenant")
                .wrap(by_store)
                .wrap(from_fn(verify))
                .get(tenant),
        )
        .service(
            web::resource("/bound-optional/tenant")
                .wrap(optional)
                .wrap(from_fn(verify))
                .get(maybe_tenant),
        )
        .service(
            web::resource("/bound-outside/tenant").wrap(from_fn(verify)).wrap(by_claim).get(tenant),
        );
}

fn with_resolver(middleware: TenantMiddleware, resolver: Resolver) -> TenantMiddleware {
    match resolver {
        Resolver::Header => middleware,
        Resolver::Subdomain => middleware.resolver(resolve::Subdomain::of(DOMAIN)),
        Resolver::Host => middleware.resolver(resolve::Host::new(tenant_of_host)),
        Resolver::Path => middleware.resolver(resolve::PathPrefix::new(PATH_PREFIX)),
        Resolver::Claim => middleware
            .resolver(resolve::Extension::new(|claim: &Claim| Some(claim.tenant.as_str()))),
        Resolver::Query => {
            middleware.resolver(|request: &ServiceRequest| tenant_of_query(request.uri().query()))
        }
    }
}

/// Stands for what verifies a token.
async fn verify(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let tenant = request.headers().get("x-verified").and_then(|value| value.to_str().ok());
    if let Some(tenant) = tenant.map(str::to_owned) {
        request.extensions_mut().insert(Claim { tenant });
    }
    next.call(request).await
}

/// Stands for an access log.
async fn tell(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let mut response = next.call(request).await?;
    let tenant = response.response().extensions().get::<Tenant>().map(|t| t.id().to_string());
    if let Some(tenant) = tenant {
        let (name, value) = (HeaderName::from_static("x-served-tenant"), tenant.try_into());
        response.headers_mut().insert(name, value.expect("an id can be in a header"));
    }
    Ok(response)
}

struct Members;

impl Authorize for Members {
    async fn authorize(
        &self,
        db: &TenantDb,
        request: &ServiceRequest,
    ) -> Result<(), AuthorizeError> {
        let user = request.headers().get("x-user").and_then(|user| user.to_str().ok());
        work::is_member(db, user).await?.then_some(()).ok_or(AuthorizeError::Denied)
    }
}

struct Guests;

impl Authorize for Guests {
    async fn authorize(
        &self,
        db: &TenantDb,
        request: &ServiceRequest,
    ) -> Result<(), AuthorizeError> {
        let user = request.headers().get("x-user").and_then(|user| user.to_str().ok());
        let is_own = user == Some(db.tenant().id().as_str());
        is_own.then_some(()).ok_or(AuthorizeError::Denied)
    }
}

async fn tenant(CurrentTenant(tenant): CurrentTenant) -> String {
    tenant.id().to_string()
}

async fn acting_for(CurrentTenant(tenant): CurrentTenant, request: HttpRequest) -> String {
    work::acting(tenant.id(), request.extensions().get::<Switch>())
}

async fn maybe_tenant(Optional(tenant): Optional<CurrentTenant>) -> String {
    match tenant {
        Some(CurrentTenant(tenant)) => tenant.id().to_string(),
        None => "none".to_owned(),
    }
}

#[derive(Deserialize)]
struct UserPath {
    id: u32,
}

async fn user(CurrentTenant(tenant): CurrentTenant, path: web::Path<UserPath>) -> String {
    format!("{} {}", tenant.id(), path.id)
}

async fn name(Db(db): Db) -> Result<String, DbError> {
    Ok(work::name(&db).await?)
}

async fn plan(Shared(shared): Shared) -> Result<String, DbError> {
    Ok(work::plan(&shared).await?)
}

async fn maybe_name(Optional(db): Optional<Db>) -> Result<String, DbError> {
    match db {
        Some(db) => name(db).await,
        None => Ok("none".to_owned()),
    }
}

async fn own_name(CurrentTenant(tenant): CurrentTenant, Tx(tx): Tx) -> Result<String, DbError> {
    Ok(format!("{}:{}", tenant.id(), work::name_in(tx).await?))
}

async fn add(TxWith(tx, name): TxWith<web::Json<String>>) -> Result<HttpResponse, DbError> {
    work::add(tx, &name).await?;
    Ok(HttpResponse::Created().finish())
}

async fn raw(Db(db): Db, body: web::Payload) -> Result<HttpResponse, DbError> {
    if !matches!(body.to_bytes_limited(BODY_LIMIT).await, Ok(Ok(_))) {
        return Ok(HttpResponse::new(StatusCode::PAYLOAD_TOO_LARGE));
    }
    let mut tx = db.begin().await?;
    work::begin_to_add(&mut tx).await?;
    tx.commit().await?;
    Ok(HttpResponse::Created().finish())
}

async fn forget(Tx(mut tx): Tx) -> Result<&'static str, DbError> {
    work::begin_to_add(&mut tx).await?;
    Ok("")
}

async fn fail(Db(db): Db, how: web::Path<String>) -> Result<&'static str, DbError> {
    work::fail(&db, &how).await?;
    Ok("")
}

async fn mapped(Db(db): Db, how: web::Path<String>) -> Result<&'static str, Mapped> {
    work::fail(&db, &how).await?;
    Ok("")
}

async fn wrapped(Db(db): Db, how: web::Path<String>) -> HttpResponse {
    match work::fail(&db, &how).await.map_err(work::Wrapped::from) {
        Ok(()) => HttpResponse::Ok().finish(),
        Err(error) => response_for(&error).expect("there is one of the library's in it"),
    }
}

async fn status(code: web::Path<u16>) -> Result<&'static str, DbError> {
    Err(StatusCode::from_u16(*code).expect("the test sends one").into())
}

async fn slow(Db(db): Db) -> Result<&'static str, DbError> {
    work::slow(&db).await?;
    Ok("")
}

async fn slow_in(Tx(tx): Tx) -> Result<&'static str, DbError> {
    work::slow_in(tx).await?;
    Ok("")
}

async fn panics(Tx(mut tx): Tx) -> Result<&'static str, DbError> {
    work::begin_to_add(&mut tx).await?;
    panic!("the handler is broken");
}

async fn rows(Db(db): Db) -> HttpResponse {
    let rows = work::rows(db).map_ok(Bytes::from).map_err(DbError::from);
    HttpResponse::Ok().streaming(rows)
}

async fn events(Db(db): Db) -> HttpResponse {
    let events = work::events(db).map_ok(|name| Bytes::from(format!("data: {name}\n\n")));
    HttpResponse::Ok().content_type("text/event-stream").streaming(events.map_err(DbError::from))
}
