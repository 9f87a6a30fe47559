//! Definitions that every adapter needs, with the types of its framework: errors with its status code, and the setters
//! of its server and of its routes for operators.
//!
//! Frameworks disagree on the version of the crate `http`, and an adapter can implement a trait of its framework, such
//! as the conversion into a response, only for its own types. So each adapter has these types, and these macros define
//! them once. The status code is any type with `from_u16`, `as_u16` and `canonical_reason`, like `http::StatusCode`.
//! The adapter adds the conversion into a response.

/// Defines the `Problem` of an adapter.
#[doc(hidden)]
#[macro_export]
macro_rules! problem_of_framework {
    ($(#[$attribute:meta])* pub struct $Problem:ident($StatusCode:ty);) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[must_use = "a problem has to be turned into a response"]
        pub struct $Problem {
            status: $StatusCode,
            document: $crate::admission::Problem,
        }

        impl $Problem {
            /// Creates a problem of type `about:blank`, titled with the reason phrase of its status.
            pub fn new(status: $StatusCode) -> Self {
                let phrase = status.canonical_reason().unwrap_or("Unknown problem");
                Self { status, document: $crate::admission::Problem::new(status.as_u16(), phrase) }
            }

            /// Sets the type, a URI by which clients distinguish problems, and a title for people. All problems
            /// of a kind share both.
            pub fn kind(self, uri: &'static str, title: &'static str) -> Self {
                Self { document: self.document.kind(uri, title), ..self }
            }

            /// Sets the description of this occurrence. Clients read it, so it must not contain database error
            /// texts.
            pub fn detail(self, detail: impl Into<::std::borrow::Cow<'static, str>>) -> Self {
                Self { document: self.document.detail(detail), ..self }
            }

            /// Sets the `Retry-After` time. It is sent in whole seconds, rounded up, at least one.
            pub fn retry_after(self, after: ::std::time::Duration) -> Self {
                Self { document: self.document.retry_after(after), ..self }
            }

            /// Returns the status of the response.
            #[must_use]
            pub fn status(&self) -> $StatusCode {
                self.status
            }

            /// Returns the document without the types of the framework.
            pub fn into_core(self) -> $crate::admission::Problem {
                self.document
            }
        }

        impl From<$crate::admission::Problem> for $Problem {
            fn from(document: $crate::admission::Problem) -> Self {
                // The core uses only codes that HTTP defines.
                let status = <$StatusCode>::from_u16(document.status_code());
                let status = status.unwrap_or(<$StatusCode>::INTERNAL_SERVER_ERROR);
                Self { status, document }
            }
        }
    };
}

/// Defines the `Rejection` of an adapter.
#[doc(hidden)]
#[macro_export]
macro_rules! rejection_of_framework {
    ($(#[$attribute:meta])* pub struct $Rejection:ident($StatusCode:ty, $Problem:ty);) => {
        $(#[$attribute])*
        pub struct $Rejection($crate::admission::Rejection);

        impl $Rejection {
            /// Creates the rejection of a request without a tenant id.
            #[must_use]
            pub fn missing() -> Self {
                Self($crate::admission::Rejection::missing())
            }

            /// Returns the status of the response.
            #[must_use]
            pub fn status(&self) -> $StatusCode {
                self.problem().status()
            }

            /// Returns the rejection as a problem document that is safe to send to any client.
            pub fn problem(&self) -> $Problem {
                self.0.problem().into()
            }

            /// Logs the details that the response omits.
            pub(crate) fn log(&self) {
                self.0.log("request rejected");
            }
        }

        $crate::newtype_of_error!($Rejection($crate::admission::Rejection): $crate::admission::ResolveError, $crate::Error);
    };
}

/// Defines the `DbError` of an adapter.
#[doc(hidden)]
#[macro_export]
macro_rules! db_error_of_framework {
    ($(#[$attribute:meta])* pub struct $DbError:ident($StatusCode:ty, $Problem:ty);) => {
        $(#[$attribute])*
        pub struct $DbError($crate::admission::Failure);

        impl $DbError {
            /// Maps a statement that the database refused to a status other than 500, according to the table
            /// [above](#what-clients-are-told).
            ///
            /// It accepts everything that converts into `DbError`, so it fits into `map_err`.
            #[must_use]
            pub fn mapped(error: impl Into<Self>) -> Self {
                Self(error.into().0.mapped())
            }

            /// Returns the error of the database, if it caused the failure. Branch on it; do not send it to clients.
            #[must_use]
            pub fn as_database_error(&self) -> Option<&dyn ::sqlx::error::DatabaseError> {
                self.0.error()?.as_database_error()
            }

            pub(crate) fn as_problem(&self) -> $Problem {
                self.0.problem().into()
            }
        }

        $crate::newtype_of_error!($DbError($crate::admission::Failure): $crate::Error);

        impl From<::sqlx::Error> for $DbError {
            fn from(error: ::sqlx::Error) -> Self {
                $crate::Error::from(error).into()
            }
        }

        impl From<$Problem> for $DbError {
            fn from(problem: $Problem) -> Self {
                Self(problem.into_core().into())
            }
        }

        impl From<$StatusCode> for $DbError {
            fn from(status: $StatusCode) -> Self {
                <$Problem>::new(status).into()
            }
        }
    };
}

/// Gives the `Serve` of an adapter the setters of its field `options`.
#[doc(hidden)]
#[macro_export]
macro_rules! serve_options_of_framework {
    (impl[$($generics:tt)*] $Serve:ty) => {
        impl<$($generics)*> $Serve {
            /// Sets how long requests in flight may take once the server stops accepting. Default: 10 s.
            ///
            /// Together with [`ready_delay`](Self::ready_delay) and [`close_within`](Self::close_within), it should
            /// stay below the grace period of the orchestrator. By default, Kubernetes kills after 30 s and
            /// `docker stop` after 10 s.
            pub fn drain(self, limit: ::std::time::Duration) -> Self {
                self.with_options(|options| options.drain(limit))
            }

            /// Sets how long requests are still accepted after `/readyz` has started to answer 503. Default: zero.
            ///
            /// Behind a load balancer that polls readiness, set it to the polling interval times the failure
            /// threshold, plus one second.
            pub fn ready_delay(self, delay: ::std::time::Duration) -> Self {
                self.with_options(|options| options.ready_delay(delay))
            }

            /// Sets how long closing the manager waits for leases after that. Default: 5 s.
            pub fn close_within(self, limit: ::std::time::Duration) -> Self {
                self.with_options(|options| options.close_within(limit))
            }

            /// Sets whether SIGTERM and Ctrl-C stop the server. Default: `true`.
            ///
            /// A program that handles signals itself turns this off and uses [`stop_when`](Self::stop_when).
            pub fn signals(self, listen: bool) -> Self {
                self.with_options(|options| options.signals(listen))
            }

            /// Sets whether a second signal ends the process. Default: `true`; see
            /// [`ServeOptions::exit_on_second_signal`](tenantry::serve::ServeOptions::exit_on_second_signal).
            pub fn exit_on_second_signal(self, exit: bool) -> Self {
                self.with_options(|options| options.exit_on_second_signal(exit))
            }

            /// Also stops the server when this future completes.
            pub fn stop_when(
                self,
                asked: impl ::std::future::Future<Output = ()> + Send + 'static,
            ) -> Self {
                self.with_options(|options| options.stop_when(asked))
            }

            /// Sets all options at once.
            pub fn options(self, options: $crate::serve::ServeOptions) -> Self {
                self.with_options(|_| options)
            }

            fn with_options(
                mut self,
                change: impl FnOnce($crate::serve::ServeOptions) -> $crate::serve::ServeOptions,
            ) -> Self {
                self.options = change(self.options);
                self
            }
        }
    };
}

/// Gives the builder of an adapter's routes for operators the constructor and setters of its field `options`.
#[doc(hidden)]
#[macro_export]
macro_rules! ops_options_of_framework {
    ($OpsRoutes:ident) => {
        impl $OpsRoutes {
            /// Starts configuring the routes of a manager.
            pub fn new(manager: $crate::TenantManager) -> Self {
                Self { options: $crate::ops::OpsOptions::new(manager) }
            }

            /// Sets whether `/health` reports each tenant by name. Default: `false`, only counts.
            ///
            /// Not everyone who can reach the port should learn which tenants exist.
            pub fn tenant_details(self, report: bool) -> Self {
                Self { options: self.options.tenant_details(report) }
            }

            /// Sets how long the database may take to answer for `/health` and `/readyz`. Default: 2 s.
            ///
            /// After about that time the answer is 503; after more than half of it, the status is degraded. Choose it
            /// shorter than the timeout of the caller, so that the caller sees the answer, and long enough to open a
            /// connection.
            pub fn ping_timeout(self, timeout: ::std::time::Duration) -> Self {
                Self { options: self.options.ping_timeout(timeout) }
            }

            /// Sets the contents of `/metrics`. Default: no tenant labels, and no process or runtime metrics.
            pub fn metrics(self, options: $crate::MetricsOptions) -> Self {
                Self { options: self.options.metrics(options) }
            }

            /// Requires a user and a password for `/metrics`. Default: open to everyone.
            ///
            /// Requests without the credentials are answered 401. Basic authentication transmits the password almost in
            /// clear text, so use it only over TLS. The other routes stay open, because load balancers send no
            /// credentials.
            ///
            /// The user should not contain a colon: in
            /// [RFC 7617](https://www.rfc-editor.org/rfc/rfc7617#section-2), the password starts after the first one.
            pub fn basic_auth(self, user: impl AsRef<str>, password: impl AsRef<str>) -> Self {
                Self { options: self.options.basic_auth(user, password) }
            }
        }
    };
}

/// Makes an adapter's type dereference to the value inside, and convert from it and from these errors.
#[doc(hidden)]
#[macro_export]
macro_rules! newtype_of_error {
    ($Outer:ident($Inner:ty): $($Source:ty),+) => {
        /// Gives access to everything that does not depend on the framework, such as the kind.
        impl ::std::ops::Deref for $Outer {
            type Target = $Inner;

            fn deref(&self) -> &$Inner {
                &self.0
            }
        }

        impl From<$Inner> for $Outer {
            fn from(inner: $Inner) -> Self {
                Self(inner)
            }
        }

        $(
            impl From<$Source> for $Outer {
                fn from(error: $Source) -> Self {
                    Self(error.into())
                }
            }
        )+

        $crate::transparent_error!($Outer);
    };
}

/// Makes an adapter's type print exactly like the error inside.
#[doc(hidden)]
#[macro_export]
macro_rules! transparent_error {
    ($Outer:ident) => {
        impl ::std::fmt::Debug for $Outer {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Debug::fmt(&self.0, f)
            }
        }

        impl ::std::fmt::Display for $Outer {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(&self.0, f)
            }
        }

        impl ::std::error::Error for $Outer {
            fn source(&self) -> Option<&(dyn ::std::error::Error + 'static)> {
                ::std::error::Error::source(&self.0)
            }
        }
    };
}
