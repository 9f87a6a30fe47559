use futures_util::FutureExt;

use crate::{
    doctor::{Examined, Finding, OnServer, ServerCheck, text::counted},
    error::Error,
    health::{self, Unreachable, UnreachableExtension},
    sql::Sql,
};

/// Extensions that tenants cannot reach, and those with a newer version installed on the server.
pub(super) const CHECK: ServerCheck = ServerCheck {
    name: "extensions",
    title: "Extensions",
    reads: "the extensions",
    look: |on| look(on).boxed(),
};

async fn look(on: OnServer<'_>) -> Result<Examined, Error> {
    let unreachable = health::unreachable(on.fleet()).await?;
    let asked = sqlx::query_as(VERSIONS).persistent(false).fetch_all(on.system()).await;
    let versions: Vec<Versions> = asked?;
    let message = match versions.len() {
        0 => "none".to_owned(),
        count => counted(count, "extension", "extensions"),
    };
    let examined = Examined::ok(message);
    let examined = examined.findings(unreachable.iter().map(judge));
    Ok(examined.findings(versions.iter().filter_map(outdated)))
}

/// Name, version in the database, version that the server would install.
type Versions = (String, String, Option<String>);

fn judge(extension: &UnreachableExtension) -> Finding {
    let UnreachableExtension { schema, reason, schemas_in_use, .. } = extension;
    let what = extension.to_string();
    let finding = match schemas_in_use {
        0 => Finding::info(what, "tenants that need it must name its schema; nothing uses it now"),
        _ => Finding::warning(
            what,
            "operators are not found, or others are without an error: a citext column is compared case-sensitively",
        ),
    };
    match reason {
        Unreachable::NotInSearchPath => {
            let how = format!(
                "add {schema} to extension_schemas, or move the extension to a schema that is in there"
            );
            if *schemas_in_use == 0 { finding } else { finding.how(how) }
        }
        Unreachable::NoUsage { roles } => {
            let finding = finding.how(format!("let the roles use the schema {schema}"));
            roles.iter().fold(finding, |finding, role| {
                let mut sql = Sql::new("grant usage on schema ");
                sql.name(schema).text(" to ").name(role);
                finding.sql(sql.as_str())
            })
        }
    }
}

fn outdated((name, installed, available): &Versions) -> Option<Finding> {
    let available = available.as_ref().filter(|available| *available != installed)?;
    let mut sql = Sql::new("alter extension ");
    sql.name(name).text(" update");
    let what = format!("{name} is {installed} in this database, and the server has {available}");
    let why = "corrections in the newer version do not apply until the extension is updated in the database";
    Some(
        Finding::info(what, why)
            .how(format!("read its release notes, then update {name}"))
            .sql(sql.as_str()),
    )
}

const VERSIONS: &str = "\
    select e.extname::pg_catalog.text, e.extversion, a.default_version \
    from pg_catalog.pg_extension e \
    left join pg_catalog.pg_available_extensions() a on a.name operator(pg_catalog.=) e.extname \
    where e.extname operator(pg_catalog.<>) 'plpgsql' order by 1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_version_is_told() {
        let of = |available: Option<&str>| {
            outdated(&("ci\"t".into(), "1.6".into(), available.map(str::to_owned)))
        };
        assert_eq!(of(None), None);
        assert_eq!(of(Some("1.6")), None);
        assert_eq!(of(Some("1.8")).unwrap().sql, [r#"alter extension "ci""t" update"#]);
    }
}
