use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use futures_util::future::BoxFuture;
use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};

use super::{
    TenantManager,
    behind_pooler::{BehindPooler, Split},
    instance::session_name,
    overrides::PoolOverrides,
    parameters::Connecting,
    replica_options::ReplicaOptions,
    replicas,
    server_options::ServerOptions,
    upkeep_url,
    url::UrlError,
};
use crate::{
    budget::{self, SharedBudget},
    catalog::{
        Asked, Catalog, CatalogOptions, ChooseTier, Complete, Decide, Dedicate, Isolations, Lookup,
        Rules, SchemaDiscovery, SharedPlace,
    },
    db::{Handle, SharedDb},
    error::{Error, ErrorKind, OptionsError},
    event::{Event, EventOptions, Hook, Hooks, Of, PoolCreated, PoolError, PoolEvicted, Retry},
    fleet::Fleet,
    pool::{
        AfterConnect, AskAfterBind, AskAtConnect, AskForCredentials, Class, Connector, Credentials,
        ExtensionSchemas, Guard, LoadBalanceHosts, Login, Occupant, OccupantId, Own, PoolOptions,
        RowTables, Server, Share, TargetSessionAttrs, application_name,
    },
    retry::RetryPolicy,
    servers::{NewTenants, Servers},
    tenant::{
        Binding, Ident, IdentError, Isolation, MAIN, PlacementPolicy, TemplateError, Tenant,
        TenantRecord, Tier,
    },
};

/// Configures a [`TenantManager`].
#[must_use = "a builder does nothing until build is called"]
pub struct ManagerBuilder {
    /// One entry per host, at least one.
    hosts: Result<Vec<PgConnectOptions>, ConfigError>,
    target: TargetSessionAttrs,
    order: LoadBalanceHosts,
    isolation: Isolation,
    other_isolations: Vec<Isolation>,
    catalog: Box<dyn Catalog>,
    catalog_options: CatalogOptions,
    complete: Option<Complete>,
    tier: Option<ChooseTier>,
    pub(super) pool: PoolOptions,
    pool_overrides: PoolOverrides,
    shared_schema: String,
    tenants_see_shared: bool,
    extension_schemas: Vec<String>,
    events: EventOptions,
    hooks: Hooks,
    pub(super) dedicate: Option<Decide>,
    pub(super) credentials: Option<AskForCredentials>,
    upkeep: Option<Credentials>,
    upkeep_url: Option<String>,
    connect_credentials: Option<AskAtConnect>,
    pub(super) after_connect: Option<AfterConnect>,
    pub(super) after_bind: Option<AskAfterBind>,
    instance: Option<String>,
    servers: Vec<(String, ServerOptions)>,
    pub(super) replicas: Vec<(String, ReplicaOptions)>,
    placement: PlacementPolicy,
    pub(super) shared_budget: Option<SharedBudget>,
    pub(super) behind_pooler: BehindPooler,
    from_others: Option<String>,
}

impl ManagerBuilder {
    pub(super) fn new(database_url: &str) -> Self {
        if database_url.is_empty() {
            return Self::from_parsed(Err(ConfigError::NoUrl));
        }
        match Connecting::read(database_url) {
            Ok(Connecting { hosts, target, order, timeout }) => {
                let mut builder = Self { target, order, ..Self::from_parsed(Ok(hosts)) };
                builder.pool_overrides.url_connect_timeout = timeout;
                builder
            }
            Err(error) => Self::from_parsed(Err(error.into())),
        }
    }

    pub(super) fn with(connect: PgConnectOptions) -> Self {
        Self::from_parsed(Ok(vec![connect]))
    }

    fn from_parsed(hosts: Result<Vec<PgConnectOptions>, ConfigError>) -> Self {
        Self {
            hosts,
            target: TargetSessionAttrs::default(),
            order: LoadBalanceHosts::default(),
            isolation: Isolation::default(),
            other_isolations: Vec::new(),
            catalog: Box::new(SchemaDiscovery::new()),
            catalog_options: CatalogOptions::default(),
            complete: None,
            tier: None,
            pool: PoolOptions::default(),
            pool_overrides: PoolOverrides::default(),
            shared_schema: "public".to_owned(),
            tenants_see_shared: false,
            extension_schemas: Vec::new(),
            events: EventOptions::default(),
            hooks: Hooks::default(),
            dedicate: None,
            credentials: None,
            upkeep: None,
            upkeep_url: None,
            connect_credentials: None,
            after_connect: None,
            after_bind: None,
            instance: None,
            servers: Vec::new(),
            replicas: Vec::new(),
            placement: PlacementPolicy::default(),
            shared_budget: None,
            behind_pooler: BehindPooler::default(),
            from_others: None,
        }
    }

    /// Sets the hosts to connect to, replacing those of the URL, each with its own user, database
    /// and so on. They must be copies of one database, such as a primary and its standbys: what the
    /// manager learns from one is taken to hold for all.
    ///
    /// Each connect tries them [in order](Self::load_balance_hosts) and takes the first host that
    /// accepts the connection and satisfies [`target_session_attrs`](Self::target_session_attrs).
    /// Each host gets an equal share of the remaining
    /// [`connect_timeout`](PoolOptions::connect_timeout). A host that refuses the password ends the
    /// attempt, as with [libpq]. If no host can be used, the error's source lists the reason for
    /// each.
    ///
    /// In a URL, write `postgres://app@db1:5432,db2:5433/saas?target_session_attrs=read-write`.
    ///
    /// [libpq]: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-MULTIPLE-HOSTS
    ///
    /// # Examples
    ///
    /// ```
    /// use sqlx::postgres::PgConnectOptions;
    /// use tenantry::{TargetSessionAttrs, TenantManager};
    ///
    /// let options = PgConnectOptions::new().username("app").database("saas");
    /// let hosts = ["db1", "db2"].map(|host| options.clone().host(host));
    /// let manager = TenantManager::builder_with(options)
    ///     .hosts(hosts)
    ///     .target_session_attrs(TargetSessionAttrs::ReadWrite);
    /// ```
    pub fn hosts(mut self, hosts: impl IntoIterator<Item = PgConnectOptions>) -> Self {
        self.hosts = Ok(hosts.into_iter().collect());
        self
    }

    /// Sets the role that a host must have. Default: the value in the URL or
    /// `PGTARGETSESSIONATTRS`, otherwise [`Any`](TargetSessionAttrs::Any).
    ///
    /// It applies to all connections of the pool, including those of migrations and provisioning.
    /// With several hosts, the connection that listens for catalog changes goes to a primary,
    /// because a standby does not support `LISTEN`. With standbys, a change may be announced before
    /// it is replicated; the manager then notices it after [`ttl`](CatalogOptions::ttl).
    pub fn target_session_attrs(mut self, target: TargetSessionAttrs) -> Self {
        self.target = target;
        self
    }

    /// Adds a server, under the name that [records of tenants](TenantRecord::server) give it. The
    /// one that the manager was built for is called `main`; it has the catalog and the shared schema.
    ///
    /// Each server has a pool, a budget and a circuit breaker of its own, and is connected to when
    /// its first tenant is used. A server that does not answer concerns its own tenants only. The
    /// hooks, logins and [other settings](Self::connect_credentials) of the manager apply to all
    /// servers. A name that is added twice, or is `main`, is refused by [`build`](Self::build).
    ///
    /// # Examples
    ///
    /// See [`ServerOptions`].
    pub fn server(mut self, name: impl Into<String>, server: impl Into<ServerOptions>) -> Self {
        self.servers.push((name.into(), server.into()));
        self
    }

    /// Sets how other servers connect to the manager's own, when a tenant [moves](crate::moves::Mover) to them by logical
    /// replication: parameters of a libpq connection string, such as `host=10.0.0.5 password=…`. They are added to host,
    /// port and database of the manager's connection and the user of maintenance, and take precedence. Default: none.
    /// For a further server, see [`ServerOptions::replication_connection`].
    ///
    /// It is needed where servers ask each other for a password, which PostgreSQL always requires of a target whose
    /// role is not a superuser, or reach each other at another address than this process does. The target stores the
    /// parameters as part of a subscription until the move is over, where superusers can read them, and may log the
    /// statement that contains them. [`MoveOptions::source_connection`](crate::moves::MoveOptions::source_connection)
    /// replaces the whole string for one move.
    ///
    /// A URL is refused by [`build`](Self::build). PostgreSQL's chapter "Connection Strings" (libpq) has the syntax.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenantry::{ServerOptions, TenantManager};
    ///
    /// let eu = ServerOptions::new("postgres://app:secret@db-eu/saas")
    ///     .replication_connection("host=10.0.1.7 password=secret sslmode=require");
    /// let manager = TenantManager::builder("postgres://app:secret@db-main/saas")
    ///     .replication_connection("password=secret")
    ///     .server("eu-1", eu);
    /// ```
    pub fn replication_connection(mut self, parameters: impl Into<String>) -> Self {
        self.from_others = Some(parameters.into());
        self
    }

    /// Sets on which [server](Self::server) a new tenant is created, unless
    /// [`CreateOptions::server`](crate::provision::CreateOptions::server) or the catalog names one. Default:
    /// [`PlacementPolicy::main`], the manager's own server.
    ///
    /// The catalog must be able to store the server, as [`TableCatalog`](crate::TableCatalog) does.
    ///
    /// # Examples
    ///
    /// See [`PlacementPolicy`].
    pub fn placement(mut self, policy: PlacementPolicy) -> Self {
        self.placement = policy;
        self
    }

    /// Makes all processes with this budget share [`max_connections`](Self::max_connections): it is
    /// then the number of connections of all of them together, on each [server](Self::server).
    /// Default: each process has a budget to itself.
    ///
    /// Every process keeps its [floor](SharedBudget::floor), and the rest is lent by demand: one
    /// that wants little gets it, and those that want more get equal parts. A process asks once
    /// every 5 s, and every second while its requests wait or it has more than its floor. It uses
    /// what it got for 10 s, and then falls back to its floor; the others count on it for 15 s. So
    /// the sum is kept also if a process is paused, killed, or cut off.
    ///
    /// The budget is in a table `tenantry_budget` in the [shared schema](Self::shared_schema) of
    /// each server. If it is missing, the login of [maintenance](Self::upkeep_credentials) creates
    /// it at the first use, if it may; otherwise, have its owner run
    /// [`create_budget_table`](TenantManager::create_budget_table).
    ///
    /// **On replicas** nothing is lent: by default, each process may open an even part of the total,
    /// `max_connections` divided by [`processes`](SharedBudget::processes), on each [replica](Self::replica).
    ///
    /// **Before its first grant** a process opens one connection, to ask, and requests wait. If the
    /// floors of other processes take the whole budget, or the table cannot be used, requests fail
    /// at once, as [`Overloaded`](ErrorKind::Overloaded) or [`Config`](ErrorKind::Config), and
    /// [`health`](TenantManager::health) and `/readyz` say that the process is not ready.
    ///
    /// **If the table is away** each process keeps what it has for 10 s, and then its floor while
    /// the server answers. After 10 s without an answer of the server it has to ask again before
    /// it serves.
    ///
    /// Sessions are then called `tenantry/<instance>~<word>`, because each process needs a name
    /// of its own. The first two letters of the word are the same in all processes of the budget. Behind the sum, let the
    /// server itself keep it: set `connection limit` of the role to `max_connections`.
    /// [`doctor`](TenantManager::doctor) checks that.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenantry::TenantManager;
    ///
    /// // All processes of the deployment together open at most 100 connections.
    /// let manager = TenantManager::builder("postgres://app@localhost/saas")
    ///     .max_connections(100)
    ///     .budget_shared_by("service")
    ///     .build()?;
    /// # Ok::<(), tenantry::ConfigError>(())
    /// ```
    pub fn budget_shared_by(mut self, budget: impl Into<SharedBudget>) -> Self {
        self.shared_budget = Some(budget.into());
        self
    }

    /// Sets the order in which hosts are tried. Default: the value in the URL or
    /// `PGLOADBALANCEHOSTS`, otherwise as listed.
    pub fn load_balance_hosts(mut self, order: LoadBalanceHosts) -> Self {
        self.order = order;
        self
    }

    /// Sets how tenants' data is isolated, unless their record [names another
    /// kind](TenantRecord::isolation). Default: one schema per tenant, named `tenant_{id}`.
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// Configures a further kind of isolation, for tenants whose record
    /// [names it](TenantRecord::isolation). Of the same kind, the last one applies. Default: `tenant_{id}` for
    /// schemas and for databases, and [`Rows::new`](crate::Rows::new) for rows.
    ///
    /// # Examples
    ///
    /// Tenants have rows, except the larger ones, whose record says `schema`:
    ///
    /// ```
    /// use tenantry::{Isolation, KeyType, Rows, TableCatalog, TenantManager};
    ///
    /// let manager = TenantManager::builder("postgres://app@localhost/saas")
    ///     .isolation(Isolation::rows(Rows::new().key(KeyType::Uuid)))
    ///     .or_isolation(Isolation::schema("customer_{id}"))
    ///     .catalog(TableCatalog::new());
    /// ```
    pub fn or_isolation(mut self, isolation: Isolation) -> Self {
        self.other_isolations.push(isolation);
        self
    }

    /// Sets the catalog that lists the tenants. Default: [`SchemaDiscovery`].
    pub fn catalog(mut self, catalog: impl Catalog) -> Self {
        self.catalog = Box::new(catalog);
        self
    }

    /// Sets how long catalog answers are cached.
    pub fn catalog_options(mut self, options: CatalogOptions) -> Self {
        self.catalog_options = options;
        self
    }

    /// Adds a role, session settings or a container to the record of each tenant, whatever the
    /// catalog. Default: records are used unchanged.
    ///
    /// The closure runs for each answer of the catalog and must not do I/O. It cannot change the id
    /// or complete a tenant whose creation is unfinished. The provisioner calls it for the role of
    /// a tenant that it creates, with a record that holds only the id.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenantry::{Ident, TableCatalog, TenantManager};
    ///
    /// let manager = TenantManager::builder("postgres://app@localhost/saas")
    ///     .catalog(TableCatalog::new())
    ///     .map_records(|record| {
    ///         let timeout = if record.attributes["plan"] == "gold" { "60s" } else { "5s" };
    ///         // Without a role of that name, the tenant is not served.
    ///         let role = Ident::parse(&format!("tenant_{}", record.id));
    ///         let record = record.setting("statement_timeout", timeout);
    ///         role.into_iter().fold(record, |record, role| record.role(role))
    ///     });
    /// ```
    pub fn map_records<F>(mut self, complete: F) -> Self
    where
        F: Fn(TenantRecord) -> TenantRecord + Send + Sync + 'static,
    {
        self.complete = Some(Arc::new(complete));
        self
    }

    /// Chooses the [tier](Tier) of each tenant, for example by its plan: how and where its data is kept, and its
    /// limits. Default: the [isolation](Self::isolation) of the manager, on its own server, without limits.
    ///
    /// **Placement.** A tier places a tenant when it is [created](crate::provision::Provisioner::create), unless the
    /// options say otherwise, and the catalog records it. From then on the record decides, so neither another plan
    /// nor another closure moves a tenant. A [`TableCatalog`](crate::TableCatalog) without a column for
    /// isolation and server, a [`FixedCatalog`](crate::FixedCatalog) and a [`CatalogFn`](crate::CatalogFn) record
    /// nothing: there the tier of each look-up applies where a record names none, so it must be the same
    /// for the tenant's whole life. Schemas that [`SchemaDiscovery`] finds are where they are.
    ///
    /// **Limits** apply at each look-up, so a change of the plan takes effect when [`TenantLimits`](crate::TenantLimits) says. Those in
    /// the tenant's [attributes](crate::TenantLimits::in_attributes) take precedence, one by one. A tenant
    /// whose limits cannot be used is refused as [`Config`](crate::ErrorKind::Config); others are
    /// not affected.
    ///
    /// The closure runs for each answer of the catalog, with the [completed](Self::map_records) record, and must not
    /// do I/O.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenantry::{Isolation, IsolationKind, Rows, TableCatalog, TenantLimits, TenantManager, Tier};
    ///
    /// let manager = TenantManager::builder("postgres://app@localhost/saas")
    ///     .isolation(Isolation::rows(Rows::new()))
    ///     .server("large", "postgres://app@db-large/saas")
    ///     .catalog(TableCatalog::new())
    ///     .tier(|record| match record.attributes["plan"].as_str() {
    ///         Some("enterprise") => Tier::new().isolation(IsolationKind::Database).server("large"),
    ///         Some("pro") => Tier::new()
    ///             .isolation(IsolationKind::Schema)
    ///             .limits(TenantLimits::new().max_connections(12).weight(4.0)),
    ///         _ => Tier::new().limits(TenantLimits::new().weight(0.5).requests_per_second(5.0)),
    ///     });
    /// ```
    pub fn tier<F>(mut self, choose: F) -> Self
    where
        F: Fn(&TenantRecord) -> Tier + Send + Sync + 'static,
    {
        self.tier = Some(Arc::new(choose));
        self
    }

    /// Sets the schema that all tenants share. Default: `public`.
    pub fn shared_schema(mut self, schema: impl Into<String>) -> Self {
        self.shared_schema = schema.into();
        self
    }

    /// Lets tenants use the tables and functions of the shared schema unqualified. Default:
    /// `false`.
    ///
    /// By default, a tenant's search path is only its own schema, so a missing table is an error
    /// and never resolves to another table of the same name. Statements can always qualify the
    /// shared schema: `join public.plans`.
    ///
    /// When enabled, a session that outlives its tenant's schema would resolve to the shared
    /// schema's tables. So every statement checks that the schema exists, which costs a second
    /// round trip, and renaming or dropping a tenant waits up to 5 s for its transactions and
    /// leases.
    pub fn tenants_see_shared(mut self, see: bool) -> Self {
        self.tenants_see_shared = see;
        self
    }

    /// Sets the schemas in which extensions are installed. Default: none.
    ///
    /// They follow the tenant's schema, and the shared one, in the search path of handles, leases,
    /// migrations, provisioning and seeds, so that types, operators, operator classes and functions
    /// of extensions resolve unqualified. Without them, `uuid_generate_v4()`, `gin_trgm_ops` and
    /// `%` are errors, and a column of type `citext` is compared case-sensitively *without* an
    /// error. Files may also name these schemas.
    /// [`unreachable_extensions`](TenantManager::unreachable_extensions) lists missing ones.
    ///
    /// These schemas must contain only extensions, so no tenant's object is ever found in them.
    /// Each new connection checks that and is refused as [`Config`](crate::ErrorKind::Config) when
    ///
    /// - a schema does not exist,
    /// - a schema contains an object that is not part of an extension; the error names it,
    /// - a role other than the schema's owner or a superuser may create objects in it.
    ///
    /// A tenant whose [role](TenantRecord::role) may not use one of them is refused as well:
    /// PostgreSQL would silently skip the schema.
    ///
    /// `public` is possible if it passes these checks and is not also the
    /// [shared schema](Self::shared_schema) with tables in it.
    ///
    /// A schema in which an extension has tables, such as that of PostGIS, costs as much as
    /// [`tenants_see_shared`](Self::tenants_see_shared).
    /// [`tenants_see_shared`](Self::tenants_see_shared) costs.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// // create schema extensions; create extension citext schema extensions;
    /// # fn example(url: &str) -> Result<(), tenantry::ConfigError> {
    /// let manager = tenantry::TenantManager::builder(url).extension_schemas(["extensions"]).build()?;
    /// # Ok(()) }
    /// ```
    pub fn extension_schemas<I>(mut self, schemas: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.extension_schemas = schemas.into_iter().map(Into::into).collect();
        self
    }

    /// Decides which tenants get *dedicated* connections, which are never bound to another tenant.
    /// Default: none.
    ///
    /// Such a tenant pays for a new connection where others take over an idle one.
    pub fn dedicate(
        mut self,
        decide: impl Fn(&TenantRecord) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.dedicate = Some(Arc::new(decide));
        self
    }

    /// Gives [dedicated](Self::dedicate) tenants separate logins: their connections log in with
    /// these credentials instead of the manager's. Default: none, all connections log in as the
    /// manager.
    ///
    /// A separate login confines SQL written by a tenant: whatever it does on its session, such as
    /// `reset role`, it has only the privileges of that login. A [role](TenantRecord::role) that
    /// the session takes on does not confine it. The login needs privileges on its tenant's schema and
    /// none on any other. Migrations, seeds and provisioning still run as the manager, or with the
    /// [maintenance login](Self::upkeep_credentials), and grant the login the privileges on its
    /// tenant's schema.
    ///
    /// The closure is called for each connection, within
    /// [`connect_timeout`](PoolOptions::connect_timeout), so a password can be changed at any time.
    /// It receives the tenant's record; `Ok(None)` selects the manager's login. Credentials appear
    /// in no `Debug` output, error or log, and never in the catalog's table. Such a connection
    /// counts toward the budget like any other.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use tenantry::{Credentials, Error, TenantManager, TenantRecord};
    ///
    /// async fn secret_of(user: String) -> Result<String, std::io::Error> {
    /// #   unimplemented!()
    /// }
    ///
    /// # fn example(url: &str) -> Result<(), tenantry::ConfigError> {
    /// let manager = TenantManager::builder(url)
    ///     .dedicate(|record| record.attributes["plan"] == "enterprise")
    ///     .credentials(|record: TenantRecord| async move {
    ///         let user = format!("login_{}", record.id);
    ///         let password = secret_of(user.clone()).await.map_err(Error::catalog)?;
    ///         Ok(Some(Credentials::new(user).password(password)))
    ///     })
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    pub fn credentials<F, A>(mut self, ask: F) -> Self
    where
        F: Fn(TenantRecord) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Option<Credentials>, Error>> + Send + 'static,
    {
        self.credentials = Some(Arc::new(move |record| Box::pin(ask(record))));
        self
    }

    /// Gives maintenance a separate login: migrations, provisioning, seeds in a transaction and
    /// [`TableCatalog::create_table`](crate::TableCatalog::create_table) log in with these
    /// credentials instead of the manager's. Default: none.
    ///
    /// The role that serves requests then needs no privilege to create or change tables, and owns
    /// nothing. The maintenance role needs `CREATE` on the database and on the shared schema, and
    /// owns the objects it creates. Creating and migrating a tenant grants usage on the schema and
    /// the privileges to read and change rows to the role that works on its tables: the tenant's
    /// [role](TenantRecord::role), its [login](Self::credentials), or the manager's role if it has
    /// neither.
    ///
    /// These connections count toward the budget like any other. First transfer schemas that
    /// another role owns to the maintenance role: `reassign owned by app to owner`.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use tenantry::{Credentials, TenantManager};
    ///
    /// # fn example(password: &str) -> Result<(), tenantry::ConfigError> {
    /// let manager = TenantManager::builder("postgres://app@localhost/saas")
    ///     .upkeep_credentials(Credentials::new("app_owner").password(password))
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    pub fn upkeep_credentials(mut self, credentials: Credentials) -> Self {
        self.upkeep = Some(credentials);
        self.upkeep_url = None;
        self
    }

    /// Gives maintenance the login of a URL, such as the one that migrations have used so far. Its
    /// user and password replace [`upkeep_credentials`](Self::upkeep_credentials); the later of the
    /// two calls wins. Default: none.
    ///
    /// The URL must name the manager's server and database, which [`build`](Self::build) checks.
    /// Its other parameters have no effect: connections use the parameters of the manager's URL.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenantry::TenantManager;
    ///
    /// # fn example() -> Result<(), tenantry::ConfigError> {
    /// let manager = TenantManager::builder("postgres://app@db.example/saas")
    ///     .upkeep_url("postgres://app_owner:secret@db.example/saas")
    ///     .build()?;
    /// # drop(manager);
    /// let elsewhere = TenantManager::builder("postgres://app@db.example/saas")
    ///     .upkeep_url("postgres://app_owner@other.example/saas")
    ///     .build();
    /// assert!(elsewhere.unwrap_err().to_string().contains("a different server"));
    /// # Ok(()) }
    /// # example().unwrap();
    /// ```
    pub fn upkeep_url(mut self, url: impl Into<String>) -> Self {
        self.upkeep_url = Some(url.into());
        self
    }

    /// Asks for the manager's credentials at each connect, for passwords that expire or rotate:
    /// cloud IAM tokens, leases of a secret store. Default: none; user and password come from the
    /// URL.
    ///
    /// The closure is called for every connection attempt of the pool, and for the connection that
    /// listens for catalog changes, within [`connect_timeout`](PoolOptions::connect_timeout). An
    /// error counts as a failed connect: it is retried, and opens the circuit breaker, if its
    /// sources are transient or unknown. Cache credentials that are expensive to get. Credentials
    /// appear in no `Debug` output, error or log; the closure's own errors do.
    ///
    /// [`credentials`](Self::credentials) of a tenant and
    /// [`upkeep_credentials`](Self::upkeep_credentials) take precedence on their connections. With
    /// `upkeep_credentials`, privileges are granted to the user in the URL: name a role there whose
    /// privileges every user that the closure returns inherits.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use tenantry::{Credentials, TenantManager};
    ///
    /// async fn token() -> Result<String, std::io::Error> {
    /// #   unimplemented!()
    /// }
    ///
    /// # fn example() -> Result<(), tenantry::ConfigError> {
    /// let manager = TenantManager::builder("postgres://app@db.example/saas?sslmode=verify-full")
    ///     .connect_credentials(async || {
    ///         Ok::<_, std::io::Error>(Credentials::new("app").password(token().await?))
    ///     })
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    pub fn connect_credentials<F, A, E>(mut self, ask: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<Credentials, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.connect_credentials = Some(Arc::new(move || {
            let asked = ask();
            Box::pin(async move { asked.await.map_err(Into::into) })
        }));
        self
    }

    /// Runs a hook on each new connection, before its first use. Default: none.
    ///
    /// Use it for state that survives a reset: a loaded library, a check of the server. Changes
    /// made with `set` are lost at the first bind; for settings, use
    /// [`after_bind`](Self::after_bind), [`map_records`](Self::map_records) or `options` in the
    /// URL. It runs on connections for tenants, for the shared schema and for the library's own
    /// work, each with its login, within [`connect_timeout`](PoolOptions::connect_timeout).
    ///
    /// If it fails or panics, the connection is closed and the connect attempt fails: acquires then
    /// fail as [`Unavailable`](crate::ErrorKind::Unavailable), with an error of the kind
    /// [`Hook`](crate::ErrorKind::Hook) among the sources.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(url: &str) -> Result<(), tenantry::ConfigError> {
    /// let manager = tenantry::TenantManager::builder(url)
    ///     .after_connect(|conn| {
    ///         Box::pin(async move { sqlx::query("load 'auto_explain'").execute(conn).await.map(drop) })
    ///     })
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    pub fn after_connect<F>(mut self, hook: F) -> Self
    where
        F: for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, sqlx::Result<()>>
            + Send
            + Sync
            + 'static,
    {
        self.after_connect = Some(Arc::new(hook));
        self
    }

    /// Runs a hook on a session that was just bound to a tenant, before its first use. Default:
    /// none.
    ///
    /// Use it for settings that depend on the tenant and that a [record](TenantRecord::settings)
    /// cannot hold. Each bind resets what the hook has set and runs it again; a
    /// [hit](crate::Acquires::hit) does not. After a lease or a transaction it runs in the
    /// background, as part of the reset. A tenant whose attributes have changed in the catalog is
    /// bound again.
    ///
    /// Afterwards, one more round trip checks that the search path, role and session user are still
    /// those of the bind, and that no transaction is open. If the hook has changed one of them,
    /// fails or panics, the connection is closed and the acquire fails as
    /// [`Hook`](crate::ErrorKind::Hook). The hook's time counts toward
    /// [`acquire_timeout`](PoolOptions::acquire_timeout); when that expires, the connection is
    /// closed.
    ///
    /// A hook that changes how the text of statements is parsed, such as `TimeZone` or
    /// `standard_conforming_strings`, disables [kept statements](PoolOptions::keep_statements) for
    /// the session. The hook must not release advisory locks that it has not taken. It does not run
    /// for the shared schema, for migrations, provisioning, seeds and other maintenance, or for
    /// scratch tenants of the isolation proof.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(url: &str) -> Result<(), tenantry::ConfigError> {
    /// let manager = tenantry::TenantManager::builder(url)
    ///     .after_bind(|conn, tenant| {
    ///         Box::pin(async move {
    ///             let plan = tenant.attributes()["plan"].as_str().unwrap_or("free");
    ///             let set = sqlx::query("select pg_catalog.set_config('app.tenant_plan', $1, false)");
    ///             set.bind(plan).execute(conn).await.map(drop)
    ///         })
    ///     })
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    pub fn after_bind<F>(mut self, hook: F) -> Self
    where
        F: for<'c> Fn(&'c mut PgConnection, &'c Tenant) -> BoxFuture<'c, sqlx::Result<()>>
            + Send
            + Sync
            + 'static,
    {
        self.after_bind = Some(Arc::new(hook));
        self
    }

    /// Names this process to the server: all of its sessions have the `application_name`
    /// `tenantry/<instance>`, whatever their purpose. Default: the `application_name` in the URL or
    /// `PGAPPNAME`, otherwise the host name and process id, such as `web-1.4711`.
    ///
    /// For example, `application_name=web` in the URL makes it `tenantry/web`. PostgreSQL truncates
    /// names to 63 bytes. Slashes and characters that are not printable ASCII become `_`.
    /// [`PoolOptions::name_tenants`] appends the tenant.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn example(url: &str) -> Result<(), tenantry::ConfigError> {
    /// // select count(*) from pg_stat_activity where application_name like 'tenantry/worker-7%'
    /// let manager = tenantry::TenantManager::builder(url).instance("worker-7").build()?;
    /// # Ok(()) }
    /// ```
    pub fn instance(mut self, name: impl Into<String>) -> Self {
        self.instance = Some(name.into());
        self
    }

    /// Sets the budget: the maximum number of connections to the server from this process. Default: 20.
    pub fn max_connections(mut self, most: usize) -> Self {
        self.pool_overrides.max_connections = Some(most);
        self
    }

    /// Sets how many connections one tenant may use at a time; see
    /// [`PoolOptions::max_connections_per_tenant`].
    pub fn max_connections_per_tenant(mut self, most: usize) -> Self {
        self.pool_overrides.max_connections_per_tenant = Some(most);
        self
    }

    /// Sets the maximum time that an acquire may take. Default: 5 s.
    pub fn acquire_timeout(mut self, timeout: Duration) -> Self {
        self.pool_overrides.acquire_timeout = Some(timeout);
        self
    }

    /// Refuses a connection to a task that already holds one; see
    /// [`PoolOptions::refuse_nested_acquires`]. Default: `false`; `true` in `tenantry-test`.
    pub fn refuse_nested_acquires(mut self, refuse: bool) -> Self {
        self.pool_overrides.refuse_nested_acquires = Some(refuse);
        self
    }

    /// Sets the retry policy for transient failures; see [`PoolOptions::retry`].
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.pool_overrides.retry = Some(policy);
        self
    }

    /// Sets the options of the pool.
    ///
    /// The builder's setters [`max_connections`](Self::max_connections),
    /// [`max_connections_per_tenant`](Self::max_connections_per_tenant),
    /// [`acquire_timeout`](Self::acquire_timeout),
    /// [`refuse_nested_acquires`](Self::refuse_nested_acquires) and [`retry`](Self::retry) override
    /// these options, whether called before or after. A `connect_timeout` in the URL applies unless
    /// these options set a value other than the default. A second call replaces the options of the
    /// first.
    pub fn pool_options(mut self, options: PoolOptions) -> Self {
        self.pool = options;
        self
    }

    /// Sets which statements emit events, and how.
    pub fn events(mut self, options: EventOptions) -> Self {
        self.events = options;
        self
    }

    /// Calls a hook for every [`Event`], including each statement: a custom logger, or an error
    /// reporter.
    ///
    /// Hooks run beside the requests. Each hook has a [queue](EventOptions::queue) and processes
    /// one event at a time. It may block or return a future. A hook that fails or panics is counted
    /// and logged, with no other effect; [`close`](TenantManager::close) waits a limited time until
    /// the queues are empty. A second hook does not replace the first.
    ///
    /// A hook that holds the manager keeps it alive until the manager is closed. It must not wait
    /// for [`close`](TenantManager::close), which waits for the hook.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn report(error: tenantry::event::PoolError) {}
    /// use tenantry::{Event, TenantManager, event::PoolError};
    ///
    /// # fn example(url: &str) -> Result<(), tenantry::ConfigError> {
    /// let manager = TenantManager::builder(url)
    ///     .on_event(|event: Event| println!("[app] {event}"))
    ///     .on_error(|error: PoolError| async move { report(error).await })
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    pub fn on_event<M>(mut self, hook: impl Hook<Event, M>) -> Self {
        self.hooks.add(Of::All, |_| true, Some, hook);
        self
    }

    /// Calls a hook when a tenant pool is created; see [`on_event`](Self::on_event).
    pub fn on_pool_created<M>(mut self, hook: impl Hook<PoolCreated, M>) -> Self {
        let wants = |event: &Event| matches!(event, Event::PoolCreated(_));
        let pick = |event| if let Event::PoolCreated(of) = event { Some(of) } else { None };
        self.hooks.add(Of::OneKind, wants, pick, hook);
        self
    }

    /// Calls a hook once when a tenant pool is evicted; see [`on_event`](Self::on_event).
    pub fn on_pool_evicted<M>(mut self, hook: impl Hook<PoolEvicted, M>) -> Self {
        let wants = |event: &Event| matches!(event, Event::PoolEvicted(_));
        let pick = |event| if let Event::PoolEvicted(of) = event { Some(of) } else { None };
        self.hooks.add(Of::OneKind, wants, pick, hook);
        self
    }

    /// Calls a hook when a connect fails, or a connection is lost or cannot be reset; see
    /// [`on_event`](Self::on_event).
    ///
    /// Failed statements are not pool errors: they are reported as [`Event::Query`].
    pub fn on_error<M>(mut self, hook: impl Hook<PoolError, M>) -> Self {
        let wants = |event: &Event| matches!(event, Event::PoolError(_));
        let pick = |event| if let Event::PoolError(of) = event { Some(of) } else { None };
        self.hooks.add(Of::OneKind, wants, pick, hook);
        self
    }

    /// Calls a hook before each retry; see [`on_event`](Self::on_event).
    pub fn on_retry<M>(mut self, hook: impl Hook<Retry, M>) -> Self {
        let wants = |event: &Event| matches!(event, Event::Retry(_));
        let pick = |event| if let Event::Retry(of) = event { Some(of) } else { None };
        self.hooks.add(Of::OneKind, wants, pick, hook);
        self
    }

    /// Checks the configuration and creates the manager. Does no I/O: the first connection is
    /// opened on demand.
    ///
    /// The sessions' `application_name` is `tenantry/<instance>`; see [`instance`](Self::instance).
    ///
    /// Call it inside the runtime that should own the connections; otherwise, they belong to the
    /// runtime of the first acquire.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the setting that cannot be used, and the reason.
    pub fn build(self) -> Result<TenantManager, ConfigError> {
        let (direct, behind_pooler) = (self.read_direct()?, self.behind_pooler);
        let hosts = self.hosts?;
        let connect = hosts.first().ok_or(ConfigError::NoHost)?;
        let places = direct.as_ref().map_or(&hosts, |direct| &direct.hosts);
        let upkeep = upkeep_of(self.upkeep_url, self.upkeep, places)?;
        let pool = self.pool_overrides.apply(self.pool);
        pool.check()?;
        let shares = self.shared_budget;
        let pool = shares.iter().fold(pool, |pool, budget| budget.adjust(pool));
        pool.check()?;
        self.events.check()?;
        self.catalog_options.check()?;
        check_isolations(&*self.catalog, &self.isolation, &self.other_isolations)?;
        let shared_schema = Ident::parse(&self.shared_schema).map_err(ConfigError::SharedSchema)?;
        let extensions =
            Arc::new(ExtensionSchemas::new(extension_schemas(&self.extension_schemas)?));
        if self.credentials.is_some() && self.dedicate.is_none() {
            return Err(ConfigError::CredentialsOfNobody);
        }
        let decide = self.dedicate.unwrap_or_else(|| Arc::new(|_| false));
        let outside = usize::from(self.catalog.channel().is_some());
        refuse_no_room(direct.is_none(), outside, &pool)?;
        let name = session_name(connect, self.instance, pool.name_tenants);
        let name = shares.iter().fold(name, |name, budget| {
            application_name::of_process(&name, &budget.word(&shared_schema), pool.name_tenants)
        });
        let share = shares.as_ref().map(|budget| budget.of(&pool, outside)).transpose()?;
        let runtime = runtime_role(connect, upkeep.as_ref(), direct.as_ref())?;
        let occupants = Occupants::new(&shared_schema, &extensions);
        let retry = pool.retry.clone();
        let for_catalog = pool.reserve().max(1);
        let connector = Connector {
            hosts: named(hosts, &name, self.events.slow_query_threshold),
            target: self.target,
            order: self.order,
            timeout: pool.connect_timeout,
            credentials: self.connect_credentials,
            after_connect: self.after_connect,
            by_transaction: false,
            lineage: None,
            from_others: from_others(MAIN, self.from_others)?,
        };
        let (for_others, slow) = (pool.clone(), self.events.slow_query_threshold);
        let name_hosts = |hosts| named(hosts, &name, slow);
        let Split { direct: (mut connector, pool), front } =
            behind_pooler.split(direct, connector, pool, outside, name_hosts)?;
        let own = Own {
            system: occupants.system,
            upkeep: upkeep.map(Login::upkeeps),
            manager: runtime.clone(),
            extensions: Arc::clone(&extensions),
            guard: Guard::Refuses,
        };
        let new_tenants = new_tenants(self.placement, &self.servers)?;
        let mut others =
            others(self.servers, &connector, &for_others, shares.as_ref(), &name, &self.events)?;
        let mut connectors = all_connectors(&mut connector, &mut others);
        let databases = databases_of(&connectors);
        let of_replica = share.iter().fold(for_others, |pool, share| share.part(pool));
        let replicas =
            replicas::by_server(self.replicas, &mut connectors, &of_replica, name_hosts)?;
        let server = Server::new(connector, pool, outside, own, self.events, self.hooks);
        front.into_iter().for_each(|(connector, pool)| server.put_in_front(connector, pool));
        let shared = |server: &Arc<Server>, share: Option<Share>| {
            if let Some(share) = share {
                budget::share(server, share, shared_schema.clone(), &name);
            }
        };
        shared(&server, share);
        let others = others.into_iter().map(|(name, connector, pool, share)| {
            let server = server.beside(Arc::clone(&name), connector, pool);
            shared(&server, share);
            (name, server)
        });
        let others = others.collect();
        let servers = Servers::new(Arc::clone(&server), others).placing(new_tenants);
        replicas::add(&servers, replicas);
        let db = |occupant| SharedDb::new(Handle::new(Arc::clone(&server), occupant));
        let asked =
            Asked { library: db(Arc::clone(server.system())), shared: db(occupants.catalog) };
        let shared = db(occupants.shared);
        let isolations = Isolations::new(self.isolation, self.other_isolations);
        let tables = || RowTables::new(isolations.schema_of_rows(&shared_schema));
        let rules = Rules {
            servers: servers.all().map(|(name, _)| (name.into(), tables())).collect(),
            shared_places: servers.all().map(|(name, _)| SharedPlace::of(name)).collect(),
            isolations,
            databases,
            shared_schema,
            tenants_see_shared: self.tenants_see_shared,
            extensions,
            runtime,
            complete: self.complete,
            tier: self.tier,
            after_bind: self.after_bind,
            dedicate: Dedicate { decide, credentials: self.credentials },
        };
        let lookup = Lookup::new(&self.catalog_options, self.catalog, rules, retry, for_catalog);
        Ok(TenantManager::new(Fleet::new(servers, shared, asked, lookup)))
    }
}

/// Returns the login of maintenance, if it has a separate one.
fn upkeep_of(
    url: Option<String>,
    credentials: Option<Credentials>,
    places: &[PgConnectOptions],
) -> Result<Option<Credentials>, ConfigError> {
    match url {
        Some(url) => upkeep_url::credentials(&url, places).map(Some).map_err(ConfigError::Upkeep),
        None => Ok(credentials),
    }
}

/// Checks the kinds of isolation, and whether the catalog can list tenants that are isolated so.
fn check_isolations(
    catalog: &dyn Catalog,
    isolation: &Isolation,
    others: &[Isolation],
) -> Result<(), ConfigError> {
    for isolation in std::iter::once(isolation).chain(others) {
        isolation.check()?;
    }
    catalog.check(isolation).map_err(ConfigError::Catalog)
}

/// Checks which servers get new tenants.
fn new_tenants(
    policy: PlacementPolicy,
    servers: &[(String, ServerOptions)],
) -> Result<NewTenants, ConfigError> {
    if let Some((name, _)) =
        servers.iter().find(|(_, server)| !server.weight.is_finite() || server.weight <= 0.0)
    {
        return Err(ConfigError::ServerWeight { name: name.clone() });
    }
    let is_known = |name: &str| name == MAIN || servers.iter().any(|(known, _)| known == name);
    if let Some(name) = policy.excluded().find(|name| !is_known(name)) {
        return Err(ConfigError::PlacementExcept { name: name.to_owned() });
    }
    let weights = servers.iter().map(|(name, server)| (name.as_str().into(), server.weight));
    let draining = servers.iter().filter(|(_, server)| server.draining);
    let draining = draining.map(|(name, _)| name.as_str().into()).collect();
    Ok(NewTenants::new(policy, weights.collect(), draining))
}

/// A further server: its name, connector, pool, and part of a shared budget.
type OtherServer = (Arc<str>, Connector, PoolOptions, Option<Share>);

/// Returns the connectors of all servers, by name.
fn all_connectors<'c>(
    main: &'c mut Connector,
    others: &'c mut [OtherServer],
) -> BTreeMap<Arc<str>, &'c mut Connector> {
    let others = others.iter_mut().map(|(name, connector, ..)| (Arc::clone(name), connector));
    others.chain([(MAIN.into(), main)]).collect()
}

/// Returns the database that is in the URL of each server.
fn databases_of<M: FromIterator<(Arc<str>, String)>>(
    connectors: &BTreeMap<Arc<str>, &mut Connector>,
) -> M {
    let databases = connectors.iter();
    databases.map(|(name, connector)| (Arc::clone(name), connector.database())).collect()
}

/// Returns the connectors and pools of further servers.
fn others(
    servers: Vec<(String, ServerOptions)>,
    main: &Connector,
    pool: &PoolOptions,
    shares: Option<&SharedBudget>,
    instance: &str,
    events: &EventOptions,
) -> Result<Vec<OtherServer>, ConfigError> {
    let mut names = BTreeSet::from([MAIN.to_owned()]);
    let each = servers.into_iter().map(|(name, server)| {
        let ServerOptions { connecting, pool: own, from_others: added, .. } = server;
        if !is_server_name(&name) {
            return Err(ConfigError::ServerName { name });
        }
        if !names.insert(name.clone()) {
            return Err(ConfigError::ServerTwice { name });
        }
        let connecting =
            connecting.map_err(|error| ConfigError::ServerUrl { name: name.clone(), error })?;
        let pool = own.unwrap_or_else(|| pool.clone());
        pool.check()?;
        let pool = shares.iter().fold(pool, |pool, budget| budget.adjust(pool));
        pool.check()?;
        let share = shares.map(|budget| budget.of(&pool, 0)).transpose()?;
        let connector = Connector {
            hosts: named(connecting.hosts, instance, events.slow_query_threshold),
            target: connecting.target,
            order: connecting.order,
            timeout: connecting.timeout.unwrap_or(pool.connect_timeout),
            from_others: from_others(&name, added)?,
            ..main.clone()
        };
        Ok((name.into(), connector, pool, share))
    });
    each.collect()
}

/// Refuses a budget without a place for tenants beside the connection that listens.
fn refuse_no_room(is_counted: bool, outside: usize, pool: &PoolOptions) -> Result<(), ConfigError> {
    match is_counted && outside >= pool.max_connections {
        true => Err(ConfigError::NoRoomToListen),
        false => Ok(()),
    }
}

/// How a connection string begins that is a URL, as libpq tells it.
const URLS: [&str; 2] = ["postgres://", "postgresql://"];

/// Checks the parameters with which other servers connect to a server.
fn from_others(name: &str, parameters: Option<String>) -> Result<Option<Arc<str>>, ConfigError> {
    match parameters {
        Some(text) if URLS.iter().any(|scheme| text.trim_start().starts_with(scheme)) => {
            Err(ConfigError::ReplicationConnection { name: name.to_owned() })
        }
        parameters => Ok(parameters.map(Into::into)),
    }
}

/// Returns `true` if a text can be the name of a server: it is the value of a metric's label, and
/// appears in logs.
fn is_server_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= 63 && name.chars().all(is_allowed)
}

/// The users of connections that are not tenants.
struct Occupants {
    system: Arc<Occupant>,
    catalog: Arc<Occupant>,
    shared: Arc<Occupant>,
}

impl Occupants {
    fn new(shared_schema: &Ident, extensions: &ExtensionSchemas) -> Self {
        let new = |id, class, binding| Arc::new(Occupant::new(id, class, binding));
        let shared = Binding::shared(shared_schema).reaching(extensions.names());
        Self {
            system: new(OccupantId::System, Class::System, Binding::library()),
            catalog: new(OccupantId::Catalog, Class::System, shared.clone()),
            shared: new(OccupantId::Shared, Class::Shared, shared),
        }
    }
}

/// Sets the name and log levels of the sessions.
///
/// The pool logs statements on handles itself, with the tenant; sqlx's own log remains available for
/// connections that are handed out.
fn named(hosts: Vec<PgConnectOptions>, name: &str, slow: Duration) -> Arc<[PgConnectOptions]> {
    let named = hosts.into_iter().map(|host| {
        host.application_name(name)
            .log_statements(log::LevelFilter::Trace)
            .log_slow_statements(log::LevelFilter::Trace, slow)
    });
    named.collect()
}

/// Returns the role that serves tenants, if maintenance has a different one.
fn runtime_role(
    connect: &PgConnectOptions,
    upkeep: Option<&Credentials>,
    direct: Option<&Connecting>,
) -> Result<Option<Ident>, ConfigError> {
    let user = connect.get_username();
    let direct = direct.and_then(|direct| direct.hosts.first());
    let upkeep = upkeep.map(Credentials::user).or(direct.map(PgConnectOptions::get_username));
    match upkeep {
        Some(upkeep) if upkeep != user => Ident::parse(user).map(Some).map_err(ConfigError::Role),
        _ => Ok(None),
    }
}

/// Parses the names of the extension schemas, without duplicates.
fn extension_schemas(names: &[String]) -> Result<Vec<Ident>, ConfigError> {
    let mut schemas = Vec::new();
    for name in names {
        let schema = Ident::parse(name).map_err(ConfigError::ExtensionSchema)?;
        if schema.is_postgresqls() {
            return Err(ConfigError::NoExtensionSchema { schema });
        }
        if !schemas.contains(&schema) {
            schemas.push(schema);
        }
    }
    Ok(schemas)
}

impl fmt::Debug for ManagerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManagerBuilder")
            .field("isolation", &self.isolation)
            .field("catalog", &self.catalog)
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::new(ErrorKind::Config, "building a manager").with_source(error)
    }
}

/// The reason why a manager cannot be built.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no URL.
    #[error("the database URL is missing; give one such as postgres://user@host/database")]
    NoUrl,
    /// [`hosts`](ManagerBuilder::hosts) was called with an empty list.
    #[error("hosts are empty; give at least one")]
    NoHost,
    /// The URL, or a related environment variable, cannot be used.
    #[error("{0}")]
    Url(#[from] UrlError),
    /// The [maintenance URL](ManagerBuilder::upkeep_url) cannot be used.
    #[error("upkeep: {0}")]
    Upkeep(#[source] UrlError),
    /// A manager [behind a transaction pooler](ManagerBuilder::behind_transaction_pooler) has no
    /// [direct URL](ManagerBuilder::direct_url).
    #[error(
        "behind_transaction_pooler needs a direct_url: the catalog, migrations and other maintenance need sessions, \
         and a transaction pooler keeps none"
    )]
    NoDirectUrl,
    /// The [direct URL](ManagerBuilder::direct_url) cannot be used.
    #[error("direct_url: {0}")]
    DirectUrl(#[source] UrlError),
    /// There are too few [direct connections](ManagerBuilder::direct_connections).
    #[error("direct_connections must be at least {least}")]
    FewDirectConnections {
        /// The smallest number that can be used.
        least: usize,
    },
    /// A setting cannot work [behind a transaction pooler](ManagerBuilder::behind_transaction_pooler).
    #[error(
        "{setting} cannot work behind a transaction pooler, which keeps no session: remove one of the two"
    )]
    BehindPooler {
        /// The setting.
        setting: &'static str,
    },
    /// A setting is for managers [behind a transaction pooler](ManagerBuilder::behind_transaction_pooler) only.
    #[error(
        "{setting} is only used behind a transaction pooler: call behind_transaction_pooler, or remove it"
    )]
    NotBehindPooler {
        /// The setting.
        setting: &'static str,
    },
    /// The [replication connection](ManagerBuilder::replication_connection) of a server is a URL.
    #[error(
        "replication_connection of server {name}: give parameters such as `host=10.0.0.5 password=…`, and no URL"
    )]
    ReplicationConnection {
        /// The name of the server.
        name: String,
    },
    /// An option cannot be used.
    #[error("option {0}")]
    Option(#[from] OptionsError),
    /// The name template cannot be used.
    #[error("{0}")]
    Template(#[from] TemplateError),
    /// The name of the shared schema is not a valid identifier.
    #[error("shared schema: {0}")]
    SharedSchema(#[source] IdentError),
    /// The name of an extension schema is not a valid identifier.
    #[error("extension schema: {0}")]
    ExtensionSchema(#[source] IdentError),
    /// The schema belongs to PostgreSQL: it is always searched or must not be.
    #[error("extension schema {schema}: it belongs to PostgreSQL; remove it")]
    NoExtensionSchema {
        /// The schema.
        schema: Ident,
    },
    /// The user that the manager logs in as is not a valid identifier.
    #[error("user of the database: {0}")]
    Role(#[source] IdentError),
    /// The catalog's configuration is contradictory.
    #[error("catalog: {0}")]
    Catalog(#[source] Error),
    /// Credentials for dedicated tenants are set, but no tenant is dedicated.
    #[error("credentials apply only to dedicated tenants: select those with dedicate")]
    CredentialsOfNobody,
    /// The catalog announces changes, and the budget has no connection left beside the one that
    /// listens.
    #[error("max_connections must be at least 2: the catalog keeps one to listen for changes")]
    NoRoomToListen,
    /// The name of a server is empty, longer than 63 bytes, or has other characters than letters,
    /// digits, hyphens, underscores and dots.
    #[error("server {name:?}: a name is 1 to 63 letters, digits, hyphens, underscores and dots")]
    ServerName {
        /// The name.
        name: String,
    },
    /// A server was added twice, or is called like the manager's own one.
    #[error(
        "server {name}: there already is one of this name; the manager's own one is called main"
    )]
    ServerTwice {
        /// The name.
        name: String,
    },
    /// The [weight](ServerOptions::weight) of a server is not a positive number.
    #[error("server {name}: its weight must be a positive number")]
    ServerWeight {
        /// The name.
        name: String,
    },
    /// The [placement policy](ManagerBuilder::placement) excludes a server that is not configured.
    #[error(
        "placement: there is no server {name:?} to exclude; add it with ManagerBuilder::server"
    )]
    PlacementExcept {
        /// The name.
        name: String,
    },
    /// A [replica](ManagerBuilder::replica) is that of a server which is not configured.
    #[error(
        "replica of {name:?}: there is no such server; add it with ManagerBuilder::server, or write main for the \
         manager's own one"
    )]
    ReplicaOf {
        /// The name of the server.
        name: String,
    },
    /// The URL of a replica cannot be used.
    #[error("replica of {name}: {error}")]
    ReplicaUrl {
        /// The name of the server.
        name: String,
        /// What is wrong with the URL.
        #[source]
        error: UrlError,
    },
    /// The URL of a server cannot be used.
    #[error("server {name}: {error}")]
    ServerUrl {
        /// The name.
        name: String,
        /// What is wrong with the URL.
        #[source]
        error: UrlError,
    },
}

crate::error_report::readable_debug!(ConfigError);
