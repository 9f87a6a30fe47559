//! Finds an error of this crate or of sqlx in an application's error chain.

use std::{error::Error as StdError, io, sync::Arc};

use super::{Error, ErrorKind, class_of};
use crate::error_report::chain;

impl ErrorKind {
    /// Returns the kind of the first error of this crate or of sqlx in a chain of
    /// [sources](StdError::source), the error itself included; `None` if there is none.
    ///
    /// With a `thiserror` type, a variant marked `#[error(transparent)]` removes the inner error
    /// from the chain: match on the variant there.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenantry::ErrorKind;
    ///
    /// #[derive(Debug, thiserror::Error)]
    /// #[error("loading the dashboard")]
    /// struct Dashboard(#[from] sqlx::Error);
    ///
    /// let error = Dashboard::from(sqlx::Error::PoolTimedOut);
    /// assert_eq!(ErrorKind::in_chain(&error), Some(ErrorKind::Timeout));
    ///
    /// // An `anyhow::Error` and a `Box<dyn Error>` are passed as `&*error`.
    /// let boxed: Box<dyn std::error::Error> = Box::new(error);
    /// assert_eq!(ErrorKind::in_chain(&*boxed), Some(ErrorKind::Timeout));
    /// assert_eq!(ErrorKind::in_chain(&std::fmt::Error), None);
    /// ```
    #[must_use]
    pub fn in_chain(error: &(dyn StdError + 'static)) -> Option<Self> {
        chain(error).find_map(|error| match known(error)? {
            Known::Own(error) => Some(error.kind()),
            Known::Sqlx(error) => Some(Self::of_sqlx(error)),
        })
    }
}

impl Error {
    /// Returns the [server](Self::server) of the first error of this crate in a chain of
    /// [sources](StdError::source) that names one, the error itself included.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(tenantry::Error::server_in_chain(&std::fmt::Error), None);
    /// ```
    #[must_use]
    pub fn server_in_chain<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a str> {
        chain(error).find_map(|error| match known(error)? {
            Known::Own(error) => error.server(),
            Known::Sqlx(_) => None,
        })
    }

    /// Describes an error if it is one of this crate or of sqlx: kind, class, tenant and retry
    /// delay, without its sources.
    pub(crate) fn described(error: &(dyn StdError + 'static)) -> Option<Self> {
        match known(error)? {
            Known::Own(error) => Some(error.without_source()),
            Known::Sqlx(error) => Some(Self::of_sqlx(error).with_class(Some(class_of(error)))),
        }
    }
}

enum Known<'a> {
    Own(&'a Error),
    Sqlx(&'a sqlx::Error),
}

fn known<'a>(error: &'a (dyn StdError + 'static)) -> Option<Known<'a>> {
    // An error of this crate travels through sqlx inside an `io::Error`, which is not part of the
    // chain.
    let carried =
        error.downcast_ref::<io::Error>().and_then(|error| error.get_ref()?.downcast_ref());
    let own = error
        .downcast_ref::<Error>()
        .or_else(|| error.downcast_ref::<Arc<Error>>().map(|error| &**error))
        .or(carried);
    let of_sqlx = || {
        error
            .downcast_ref::<sqlx::Error>()
            .or_else(|| error.downcast_ref::<Arc<sqlx::Error>>().map(|error| &**error))
    };
    match (own, of_sqlx()) {
        (Some(own), _) => Some(Known::Own(own)),
        (None, Some(error)) => Some(super::own(error).map_or(Known::Sqlx(error), Known::Own)),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::TenantId;

    #[derive(Debug, thiserror::Error)]
    #[error("showing the dashboard")]
    struct Outer(#[source] Box<dyn StdError + Send + Sync>);

    fn under(error: impl StdError + Send + Sync + 'static) -> Outer {
        Outer(Box::new(Outer(Box::new(error))))
    }

    #[test]
    fn finds_the_first_one_that_is_known() {
        let acme = TenantId::parse("acme").unwrap();
        let overloaded =
            || Error::new(ErrorKind::Overloaded, "x").with_tenant(&acme).with_server(&"eu".into());
        for error in [
            under(overloaded()),
            under(Arc::new(overloaded())),
            under(sqlx::Error::from(overloaded())),
            under(Arc::new(sqlx::Error::from(overloaded()))),
            under(io::Error::other(overloaded())),
        ] {
            assert_eq!(ErrorKind::in_chain(&error), Some(ErrorKind::Overloaded), "{error:?}");
            let described = chain(&error).find_map(Error::described).unwrap();
            assert_eq!(described.tenant(), Some(&acme), "{error:?}");
            assert_eq!(described.server(), Some("eu"), "{error:?}");
            assert_eq!(Error::server_in_chain(&error), Some("eu"), "{error:?}");
        }
        let unknown = under(io::Error::other("x"));
        assert_eq!(ErrorKind::in_chain(&unknown), None);
        // The outer error determines what the application has to handle.
        let catalog = under(Error::catalog(sqlx::Error::RowNotFound));
        assert_eq!(ErrorKind::in_chain(&catalog), Some(ErrorKind::Catalog));
    }

    #[test]
    fn tells_apart_what_sqlx_says() {
        for (error, kind) in [
            (sqlx::Error::RowNotFound, ErrorKind::RowNotFound),
            (sqlx::Error::PoolTimedOut, ErrorKind::Timeout),
            (sqlx::Error::PoolClosed, ErrorKind::Closed),
            (sqlx::Error::Io(io::ErrorKind::BrokenPipe.into()), ErrorKind::Unavailable),
            (sqlx::Error::ColumnNotFound("x".to_owned()), ErrorKind::Database),
        ] {
            let described = Error::described(&error).unwrap();
            assert_eq!(ErrorKind::in_chain(&error), Some(kind));
            let error = Error::from(error);
            assert_eq!(error.kind(), kind);
            let of_both = [&described, &error].map(|error| (error.kind(), error.retry_after()));
            assert_eq!(of_both[0], of_both[1]);
            assert_eq!(error.retry_after().is_some(), kind == ErrorKind::Timeout);
        }
    }
}
