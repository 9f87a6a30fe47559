//! Conversion of a row into a tenant's record.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::Value;
use sqlx::{Row, postgres::PgRow};

use crate::{
    error::{Error, ErrorKind},
    tenant::{Ident, IsolationKind, TenantId, TenantRecord, TenantState},
};

/// Prefix of every step that the library writes. Other content of an application's column of that
/// name is not a step.
pub(super) const STEP: &str = "tenantry: ";

/// Reads the id of a row.
pub(super) fn id(row: &PgRow) -> Result<TenantId, Error> {
    let id: Option<&str> = row.try_get("id").map_err(Error::catalog)?;
    let Some(id) = id else {
        let attempted = "reading the list of tenants: a row has no id; exclude such rows";
        return Err(Error::new(ErrorKind::Catalog, attempted));
    };
    TenantId::parse(id).map_err(|error| {
        let shown: String = id.chars().take(80).collect();
        let attempted = format!(
            "reading the list of tenants: {shown:?} is not a tenant id; correct or exclude the row"
        );
        Error::new(ErrorKind::Catalog, attempted).with_source(error)
    })
}

/// Reads the record of a tenant.
pub(super) fn record(row: &PgRow) -> Result<TenantRecord, Error> {
    let id = id(row)?;
    let container: Option<&str> = row.try_get("container").map_err(Error::catalog)?;
    let container = container.map(|name| name_in(name, &id, "schema")).transpose()?;
    let state = state(row, &id)?;
    let attributes: Option<Value> = row.try_get("attributes").map_err(Error::catalog)?;
    let created: Option<f64> = row.try_get("created_at").map_err(Error::catalog)?;
    let created_at = created
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
    let step: Option<&str> = row.try_get("step").map_err(Error::catalog)?;
    let step = step.filter(|step| step.starts_with(STEP)).map(Into::into);
    let role: Option<&str> = row.try_get("role").map_err(Error::catalog)?;
    let role = role.map(|name| name_in(name, &id, "role")).transpose()?;
    let settings: Option<Value> = row.try_get("settings").map_err(Error::catalog)?;
    let settings = settings.map_or(Some(Vec::new()), settings_of).ok_or_else(|| {
        let attempted = "reading the settings of a tenant: expected an object of strings, numbers and booleans, or a \
                         list of name=value";
        Error::new(ErrorKind::Catalog, attempted).with_tenant(&id)
    })?;
    let record = TenantRecord::new(id).state(state).attributes(attributes.unwrap_or_default());
    let record = TenantRecord { container, created_at, step, role, settings, ..record };
    Ok(placed(row, record)?.suspended_while_in_the_making())
}

/// Adds what the row says of the tenant's placement. Null selects the default.
fn placed(row: &PgRow, record: TenantRecord) -> Result<TenantRecord, Error> {
    let id = &record.id;
    let isolation = text(row, "isolation")?.map(|kind| kind.parse::<IsolationKind>()).transpose();
    let isolation = isolation.map_err(|error| {
        let attempted = format!("reading the isolation of a tenant: {error}");
        Error::new(ErrorKind::Catalog, attempted).with_tenant(id)
    })?;
    let server = text(row, "server")?.map(|name| named(name, id, "server")).transpose()?;
    let database = text(row, "database")?.map(|name| name_in(name, id, "database")).transpose()?;
    let key = text(row, "key")?.map(|key| named(key, id, "key")).transpose()?;
    let epoch: Option<i64> = row.try_get("epoch").map_err(Error::catalog)?;
    let epoch = epoch.map_or(Some(1), first_or_later).ok_or_else(|| {
        let attempted = "reading the epoch of a tenant: it must be 1 or more";
        Error::new(ErrorKind::Catalog, attempted).with_tenant(id)
    })?;
    let is_placed = row.try_get("places").map_err(Error::catalog)?;
    Ok(TenantRecord { isolation, server, database, key, epoch, is_placed, ..record })
}

fn text<'r>(row: &'r PgRow, column: &str) -> Result<Option<&'r str>, Error> {
    row.try_get(column).map_err(Error::catalog)
}

fn first_or_later(epoch: i64) -> Option<u64> {
    u64::try_from(epoch).ok().filter(|epoch| *epoch > 0)
}

/// Refuses an empty text: null means that the tenant has none.
fn named(text: &str, id: &TenantId, of: &str) -> Result<Arc<str>, Error> {
    match text {
        "" => {
            let attempted =
                format!("reading the {of} of a tenant: it is empty; null selects the default");
            Err(Error::new(ErrorKind::Catalog, attempted).with_tenant(id))
        }
        text => Ok(text.into()),
    }
}

fn state(row: &PgRow, id: &TenantId) -> Result<TenantState, Error> {
    let state: Option<&str> = row.try_get("state").map_err(Error::catalog)?;
    match state {
        Some("active") => Ok(TenantState::Active),
        Some("suspended") => Ok(TenantState::Suspended),
        Some("moving") => Ok(TenantState::Moving),
        Some("cutover") => Ok(TenantState::Cutover),
        other => {
            let other = other.map_or("null".to_owned(), |other| {
                format!("{:?}", other.chars().take(80).collect::<String>())
            });
            let attempted = format!(
                "reading the state of a tenant: unknown state {other}; expected active, suspended, moving or \
                 cutover"
            );
            Err(Error::new(ErrorKind::Catalog, attempted).with_tenant(id))
        }
    }
}

fn name_in(name: &str, id: &TenantId, of: &str) -> Result<Ident, Error> {
    Ident::parse(name).map_err(|error| {
        let attempted = format!("reading the {of} of a tenant");
        Error::new(ErrorKind::Catalog, attempted).with_source(error).with_tenant(id)
    })
}

/// Returns settings by name; `None` if the value has another form.
fn settings_of(settings: Value) -> Option<Vec<(String, String)>> {
    match settings {
        Value::Null => Some(Vec::new()),
        Value::Object(settings) => settings
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| match value {
                Value::String(value) => Some((name, value)),
                Value::Number(value) => Some((name, value.to_string())),
                Value::Bool(value) => Some((name, value.to_string())),
                _ => None,
            })
            .collect(),
        Value::Array(settings) => settings
            .iter()
            .map(|setting| {
                let (name, value) = setting.as_str()?.split_once('=')?;
                Some((name.to_owned(), value.to_owned()))
            })
            .collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_an_object_or_a_list() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        for (settings, expected) in [
            (json!(null), Some(vec![])),
            (json!({}), Some(vec![])),
            (
                json!({"a": "1s", "b": 5, "c": true, "d": null}),
                Some(vec![pair("a", "1s"), pair("b", "5"), pair("c", "true")]),
            ),
            (json!(["a=1", "b=x=y"]), Some(vec![pair("a", "1"), pair("b", "x=y")])),
            (json!(["a"]), None),
            (json!([1]), None),
            (json!({"a": {}}), None),
            (json!("a=1"), None),
        ] {
            assert_eq!(settings_of(settings.clone()), expected, "{settings}");
        }
    }
}
