//! The cases that every adapter has to pass.

use axum::{
    Extension, Json, Router,
    body::{Body, to_bytes},
    extract::{DefaultBodyLimit, Path, Request},
    http::{StatusCode, request::Parts},
    middleware::{Next, from_fn},
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
    routing::{get, post},
};
use futures_util::TryStreamExt;
use serde::Deserialize;
use tenantry::{Tenant, context};
use tenantry_acceptance::{
    Adapter, App, BODY_LIMIT, Claim, DOMAIN, PATH_PREFIX, Resolver, Server, tenant_in_store,
    tenant_of_claim, tenant_of_host, tenant_of_query, work,
};
use tenantry_axum::{
    Authorize, AuthorizeError, ContextLayer, CurrentTenant, Db, DbError, Mapped, Shared, Switch,
    TenantDb, TenantLayer, Tx, TxWith, resolve, response_for,
};
use tokio::{net::TcpListener, task::JoinHandle};

struct Axum;

tenantry_acceptance::suite!(Axum);

impl Adapter for Axum {
    async fn serve(app: App) -> Server {
        serve(router(&app)).await
    }
}

/// Serves an app on a free port until the value is dropped.
pub(crate) async fn serve(app: Router) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    Server::new(address, Running(server))
}

struct Running(JoinHandle<std::io::Result<()>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn router(app: &App) -> Router {
    let layer = TenantLayer::new(app.manager.clone());
    let inner = layer.clone().resolver(resolve::Header::from_static("x-inner"));
    Router::new()
        .route("/tenant", get(tenant))
        .route("/t/{tenant}/users/{id}", get(user))
        .route("/name", get(name))
        .route("/own-name", get(own_name))
        .route("/plan", get(plan))
        .route("/users", post(add))
        .route("/raw", post(raw))
        .route("/forget", post(forget))
        .route("/fail/{how}", get(fail))
        .route("/mapped/{how}", get(mapped))
        .route("/wrapped/{how}", get(wrapped))
        .route("/status/{code}", get(status))
        .route("/slow", post(slow))
        .route("/slow-tx", post(slow_in))
        .route("/panic", post(panics))
        .route("/rows", get(rows))
        .route("/events", get(events))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .merge(
            Router::new().route("/members/name", get(name)).layer(layer.clone().authorize(Members)),
        )
        .merge(Router::new().route("/nested/tenant", get(tenant)).layer(inner.clone()))
        .merge(
            Router::new()
                .route("/nested-optional/tenant", get(maybe_tenant))
                .layer(inner.optional()),
        )
        .layer(with_resolver(layer.clone(), app.resolver))
        .layer(from_fn(verify))
        .merge(bound(&layer))
        .merge(acting(&layer))
        .merge(in_context(&layer))
        .merge(
            Router::new()
                .route("/guests/tenant", get(tenant))
                .layer(layer.clone().authorize(Guests)),
        )
        .merge(
            Router::new()
                .route("/optional/name", get(maybe_name))
                .route("/optional/plan", get(plan))
                .layer(layer.optional()),
        )
        .merge(
            Router::new().route("/managed/plan", get(plan)).layer(Extension(app.manager.clone())),
        )
        .route("/outside/plan", get(plan))
        .route("/outside/db", get(async |_: Db| ()))
        .route("/outside/tx", get(async |_: Tx| ()))
        .route("/outside/tenant", get(tenant))
        .route("/outside/open", get(async || "open"))
        .layer(from_fn(tell))
}

/// The routes whose layer compares the tenant with the caller's.
fn bound(layer: &TenantLayer) -> Router {
    let by_claim = layer.clone().bound_to(|parts| tenant_of_claim(parts.extensions.get::<Claim>()));
    let by_store =
        layer.clone().bound_to(|parts| tenant_in_store(parts.extensions.get::<Claim>().cloned()));
    let name = Router::new().route("/bound/name", get(name));
    let in_store = Router::new().route("/bound-by-store/tenant", get(tenant));
    let optional = Router::new().route("/bound-optional/tenant", get(maybe_tenant));
    let outside = Router::new().route("/bound-outside/tenant", get(tenant));
    name.layer(by_claim.clone().authorize(Members))
        .merge(in_store.layer(by_store))
        .merge(optional.layer(by_claim.clone().optional()))
        .layer(from_fn(verify))
        .merge(outside.layer(from_fn(verify)).layer(by_claim))
}

/// The route whose layer lets operators switch.
fn acting(layer: &TenantLayer) -> Router {
    let user = |parts: &Parts| {
        let user = parts.headers.get("x-user").and_then(|user| user.to_str().ok());
        user.map(str::to_owned)
    };
    let act_as = resolve::Header::from_static("x-act-as-tenant");
    let layer = layer
        .clone()
        .bound_to(|parts| tenant_of_claim(parts.extensions.get::<Claim>()))
        .authorize(move |_: &TenantDb, parts: &Parts| {
            let is_member = user(parts).is_some_and(|user| user == "member");
            async move { is_member.then_some(()).ok_or(AuthorizeError::Denied) }
        })
        .switch(act_as, move |_: &Switch, parts: &Parts| work::is_operator(user(parts)));
    let answer = async |CurrentTenant(tenant): CurrentTenant, switch: Option<Extension<Switch>>| {
        work::acting(tenant.id(), switch.as_deref())
    };
    Router::new().route("/acting/tenant", get(answer)).layer(layer).layer(from_fn(verify))
}

/// The routes that have their tenant in scope.
fn in_context(layer: &TenantLayer) -> Router {
    let names = async || Body::from_stream(work::names_in_context());
    let open = async || if context::current().is_err() { "open" } else { "" };
    let names = Router::new().route("/context/names", get(names));
    let open = Router::new().route("/context-optional/open", get(open));
    names
        .layer(ContextLayer::new())
        .layer(layer.clone())
        .merge(open.layer(ContextLayer::new()).layer(layer.clone().optional()))
}

fn with_resolver(layer: TenantLayer, resolver: Resolver) -> TenantLayer {
    match resolver {
        Resolver::Header => layer,
        Resolver::Subdomain => layer.resolver(resolve::Subdomain::of(DOMAIN)),
        Resolver::Host => layer.resolver(resolve::Host::new(tenant_of_host)),
        Resolver::Path => layer.resolver(resolve::PathPrefix::new(PATH_PREFIX)),
        Resolver::Claim => {
            layer.resolver(resolve::Extension::new(|claim: &Claim| Some(claim.tenant.as_str())))
        }
        Resolver::Query => layer.resolver(|parts: &Parts| tenant_of_query(parts.uri.query())),
    }
}

/// Stands for what verifies a token.
async fn verify(mut request: Request, next: Next) -> Response {
    let tenant = request.headers().get("x-verified").and_then(|value| value.to_str().ok());
    if let Some(tenant) = tenant.map(str::to_owned) {
        request.extensions_mut().insert(Claim { tenant });
    }
    next.run(request).await
}

/// Stands for an access log.
async fn tell(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let tenant = response.extensions().get::<Tenant>().map(|tenant| tenant.id().to_string());
    if let Some(tenant) = tenant {
        let tenant = tenant.try_into().expect("an id can be in a header");
        response.headers_mut().insert("x-served-tenant", tenant);
    }
    response
}

struct Members;

impl Authorize for Members {
    async fn authorize(&self, db: &TenantDb, parts: &Parts) -> Result<(), AuthorizeError> {
        let user = parts.headers.get("x-user").and_then(|user| user.to_str().ok());
        work::is_member(db, user).await?.then_some(()).ok_or(AuthorizeError::Denied)
    }
}

struct Guests;

impl Authorize for Guests {
    async fn authorize(&self, db: &TenantDb, parts: &Parts) -> Result<(), AuthorizeError> {
        let user = parts.headers.get("x-user").and_then(|user| user.to_str().ok());
        let is_own = user == Some(db.tenant().id().as_str());
        is_own.then_some(()).ok_or(AuthorizeError::Denied)
    }
}

async fn tenant(CurrentTenant(tenant): CurrentTenant) -> String {
    tenant.id().to_string()
}

async fn maybe_tenant(tenant: Option<CurrentTenant>) -> String {
    match tenant {
        Some(CurrentTenant(tenant)) => tenant.id().to_string(),
        None => "none".to_owned(),
    }
}

#[derive(Deserialize)]
struct UserPath {
    id: u32,
}

async fn user(CurrentTenant(tenant): CurrentTenant, Path(path): Path<UserPath>) -> String {
    format!("{} {}", tenant.id(), path.id)
}

async fn name(Db(db): Db) -> Result<String, DbError> {
    Ok(work::name(&db).await?)
}

async fn plan(Shared(shared): Shared) -> Result<String, DbError> {
    Ok(work::plan(&shared).await?)
}

async fn maybe_name(db: Option<Db>) -> Result<String, DbError> {
    match db {
        Some(db) => name(db).await,
        None => Ok("none".to_owned()),
    }
}

async fn own_name(CurrentTenant(tenant): CurrentTenant, Tx(tx): Tx) -> Result<String, DbError> {
    Ok(format!("{}:{}", tenant.id(), work::name_in(tx).await?))
}

async fn add(TxWith(tx, Json(name)): TxWith<Json<String>>) -> Result<StatusCode, DbError> {
    work::add(tx, &name).await?;
    Ok(StatusCode::CREATED)
}

async fn raw(Db(db): Db, body: Body) -> Result<StatusCode, DbError> {
    if to_bytes(body, BODY_LIMIT).await.is_err() {
        return Ok(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let mut tx = db.begin().await?;
    work::begin_to_add(&mut tx).await?;
    tx.commit().await?;
    Ok(StatusCode::CREATED)
}

async fn forget(Tx(mut tx): Tx) -> Result<(), DbError> {
    Ok(work::begin_to_add(&mut tx).await?)
}

async fn fail(Db(db): Db, Path(how): Path<String>) -> Result<(), DbError> {
    Ok(work::fail(&db, &how).await?)
}

async fn mapped(Db(db): Db, Path(how): Path<String>) -> Result<(), Mapped> {
    Ok(work::fail(&db, &how).await?)
}

async fn wrapped(Db(db): Db, Path(how): Path<String>) -> Response {
    match work::fail(&db, &how).await.map_err(work::Wrapped::from) {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => response_for(&error).expect("there is one of the library's in it"),
    }
}

async fn status(Path(code): Path<u16>) -> Result<(), DbError> {
    Err(StatusCode::from_u16(code).expect("the test sends one").into())
}

async fn slow(Db(db): Db) -> Result<(), DbError> {
    Ok(work::slow(&db).await?)
}

async fn slow_in(Tx(tx): Tx) -> Result<(), DbError> {
    Ok(work::slow_in(tx).await?)
}

async fn panics(Tx(mut tx): Tx) -> Result<(), DbError> {
    work::begin_to_add(&mut tx).await?;
    panic!("the handler is broken");
}

async fn rows(Db(db): Db) -> Body {
    Body::from_stream(work::rows(db))
}

async fn events(Db(db): Db) -> impl IntoResponse {
    Sse::new(work::events(db).map_ok(|name| Event::default().data(name)))
}
