//! Extensions that are installed in a tenant's schema.

use futures_util::FutureExt;

use super::{
    check::{Question, examine_all},
    everywhere::Local,
    kinds::Kind,
    tenants::Tenants,
};
use crate::{
    doctor::{BuiltIn, Finding},
    plain::plain,
};

/// Extensions that are installed in a tenant's schema.
pub(super) const CHECK: BuiltIn = BuiltIn {
    name: "extensionsInTenants",
    title: "Extensions in tenants",
    reads: "the extensions",
    look: |on| examine_all(on, "no extension", questions).boxed(),
};

const QUESTIONS: &[Question] = &[Question { find: INSTALLED, tell }];

/// Returns nothing for a tenant's own database, whose extensions do not concern other tenants.
fn questions(local: &Local<'_>) -> &'static [Question] {
    if local.is_of_one() { &[] } else { QUESTIONS }
}

fn tell(kind: &Kind, tenants: &Tenants) -> Finding {
    let extension = plain(kind.part(0));
    let affected = kind.affected(tenants, |worst| match worst.part(0) {
        "0" | "" => extension.clone(),
        "1" => format!("{extension}: 1 other schema uses it"),
        others => format!("{extension}: {others} other schemas use it"),
    });
    let finding = Finding::error(
        format!("extension {extension} is installed in the schema of a tenant"),
        "a database has each extension once: other tenants cannot have it or depend on this tenant's schema, and dropping \
         the tenant takes the extension along, with the columns of its types",
    );
    let finding = finding.tenants(affected);
    match kind.part(1) {
        "movable" => finding
            .how(
                "move it into a schema for extensions that roles of tenants may use, and name that in the manager's extension \
                 schemas; until all processes do, tenants do not find it",
            )
            .sql("create schema if not exists extensions")
            .sql(move_sql(kind)),
        _ => finding.how("create it in a schema for extensions, move the columns of its types there, and drop it here"),
    }
}

fn move_sql(kind: &Kind) -> String {
    let mut sql = crate::sql::Shown::default();
    sql.words("alter extension ").name(kind.part(0)).words(" set schema extensions");
    sql.finish()
}

/// Users are counted by the schemas of tables with columns of its types.
const INSTALLED: &str = "\
    f as (select n.place, array[e.extname::pg_catalog.text, case when e.extrelocatable then 'movable' else '' end] as what, \
    array[(select pg_catalog.count(distinct c.relnamespace) from pg_catalog.pg_depend m \
    join pg_catalog.pg_depend u on u.refclassid operator(pg_catalog.=) m.classid and u.refobjid operator(pg_catalog.=) m.objid and u.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
    join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) u.objid and c.relnamespace operator(pg_catalog.<>) n.oid \
    where m.refclassid operator(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass and m.refobjid operator(pg_catalog.=) e.oid and m.deptype operator(pg_catalog.=) 'e'::pg_catalog.\"char\" \
    and m.classid operator(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass)::pg_catalog.text] as detail, 0::pg_catalog.float8 as weight \
    from n join pg_catalog.pg_extension e on e.extnamespace operator(pg_catalog.=) n.oid)";
