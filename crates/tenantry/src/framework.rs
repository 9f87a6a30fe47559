//! The types of an adapter around those of `admission`, with the status code of its framework.
//!
//! Frameworks disagree on the version of the crate `http`, and a trait of a framework, such as one that makes responses,
//! can only be implemented for a type of the adapter. So each adapter has these types, and these macros are their one
//! definition. The status code is any type with `from_u16`, `as_u16` and `canonical_reason`, as `http::StatusCode` has
//! them. An adapter adds how a response is made.

/// Makes the `Problem` of an adapter.
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
            /// Makes a problem that says no more than its status does: of type `about:blank`, titled with the
            /// status' own phrase.
            pub fn new(status: $StatusCode) -> Self {
                let phrase = status.canonical_reason().unwrap_or("Unknown problem");
                Self { status, document: $crate::admission::Problem::new(status.as_u16(), phrase) }
            }

            /// Sets the type, a URI by which clients distinguish problems, and a title for people. Both are
            /// the same for all problems of a kind.
            pub fn kind(self, uri: &'static str, title: &'static str) -> Self {
                Self { document: self.document.kind(uri, title), ..self }
            }

            /// Sets the text about this very problem. Clients read it: no words of the database.
            pub fn detail(self, detail: impl Into<::std::borrow::Cow<'static, str>>) -> Self {
                Self { document: self.document.detail(detail), ..self }
            }

            /// Sets the time after which to try again. It is sent in whole seconds, rounded up, at least one.
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
                // The core's codes are all of HTTP's own.
                let status = <$StatusCode>::from_u16(document.status_code());
                let status = status.unwrap_or(<$StatusCode>::INTERNAL_SERVER_ERROR);
                Self { status, document }
            }
        }
    };
}

/// Makes the `Rejection` of an adapter.
#[doc(hidden)]
#[macro_export]
macro_rules! rejection_of_framework {
    ($(#[$attribute:meta])* pub struct $Rejection:ident($StatusCode:ty, $Problem:ty);) => {
        $(#[$attribute])*
        pub struct $Rejection($crate::admission::Rejection);

        impl $Rejection {
            /// Makes the rejection of a request without a tenant id.
            #[must_use]
            pub fn missing() -> Self {
                Self($crate::admission::Rejection::missing())
            }

            /// Returns the status of the response.
            #[must_use]
            pub fn status(&self) -> $StatusCode {
                self.problem().status()
            }

            /// Returns the rejection as a problem document, safe to be sent to anyone.
            pub fn problem(&self) -> $Problem {
                self.0.problem().into()
            }

            /// Logs what the response leaves out.
            pub(crate) fn log(&self) {
                self.0.log("request rejected");
            }
        }

        $crate::newtype_of_error!($Rejection($crate::admission::Rejection): $crate::admission::ResolveError, $crate::Error);
    };
}

/// Makes the `DbError` of an adapter.
#[doc(hidden)]
#[macro_export]
macro_rules! db_error_of_framework {
    ($(#[$attribute:meta])* pub struct $DbError:ident($StatusCode:ty, $Problem:ty);) => {
        $(#[$attribute])*
        pub struct $DbError($crate::admission::Failure);

        impl $DbError {
            /// Answers a statement that the database refused with a status other than 500, as the
            /// table [above](#what-clients-are-told) says.
            ///
            /// It takes everything that `DbError` is made from, so it fits into `map_err`.
            #[must_use]
            pub fn mapped(error: impl Into<Self>) -> Self {
                Self(error.into().0.mapped())
            }

            /// Returns the database's answer, if it was the database that failed. It is there to be
            /// branched on, not to be sent.
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

/// Lets a type of an adapter be used as the value inside, and be made from that and these errors.
#[doc(hidden)]
#[macro_export]
macro_rules! newtype_of_error {
    ($Outer:ident($Inner:ty): $($Source:ty),+) => {
        /// Everything that is known without the framework, such as the kind.
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

/// Lets a type of an adapter show the error inside as its own.
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
