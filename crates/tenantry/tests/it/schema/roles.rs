//! A tenant's own role is part of its name.

use sqlx::PgConnection;
use tenantry::schema::compare;

use super::{
    corpus,
    judge::{Judge, build},
    probe::{details, fingerprints},
};
use crate::support::{connect, run};

/// What both tenants have; `{role}` is their own.
const BASE: &str = "
    alter schema {schema} owner to {role};
    create table t (a int primary key, b text default '{role}');
    alter table t owner to {role};
    create table u (a int references t);
    grant select, insert on u to {role};
    grant select on t to zq_reader;
    grant usage on schema {schema} to zq_reader;
    create policy p on t to {role}, zq_reader using (b = current_user);
    create function f() returns int language plpgsql as 'begin set role {role}; return 1; end';
    alter function f() owner to {role};
    comment on table t is 'for {role}';
    alter default privileges for role {role} in schema {schema} grant select on tables to zq_reader;
    alter default privileges in schema {schema} grant select on tables to {role};
    create sequence s; alter sequence s owner to {role};
    create type e as enum ('a'); alter type e owner to {role};
    create view v as select a from t; alter view v owner to {role}; grant select on v to {role}";

/// What the right tenant has in addition, and whether that makes a difference.
const CHANGES: [(&str, bool); 9] = [
    ("", false),
    ("alter table t owner to postgres", true),
    ("alter table t owner to zq_owner", true),
    ("alter table u owner to {role}", true),
    ("alter policy p on t to zq_reader", true),
    ("alter policy p on t to public", true),
    ("revoke insert on u from {role}", true),
    ("grant update on u to {role} with grant option", true),
    ("grant select (a) on u to {role}; revoke select (a) on u from {role}", false),
];

#[tokio::test]
async fn a_role_of_ones_own_stands_for_the_others() {
    let server = corpus::server().await;
    let url = corpus::setting(&server, "roles").await;
    let mut admin = connect(&url).await;
    let mut names = Vec::new();
    for (at, (change, _)) in CHANGES.iter().enumerate() {
        let (left, right) = (format!("left_{at}"), format!("right_{at}"));
        build_with_role(&mut admin, &left, BASE).await;
        build_with_role(&mut admin, &right, &format!("{BASE}; {change}")).await;
        names.push((left, right));
    }
    let mut founds = Vec::new();
    for (left, right) in &names {
        let roles = (role_of(left), role_of(right));
        let subjects = [(left.as_str(), Some(&*roles.0)), (right.as_str(), Some(&*roles.1))];
        let models = details(&mut admin, &subjects).await;
        let prints = fingerprints(&mut admin, &subjects).await;
        founds.push((compare(&models[0], &models[1]), prints[0] == prints[1]));
    }
    for ((change, differs), (found, is_equal)) in CHANGES.iter().zip(&founds) {
        assert_eq!(found.is_empty(), !differs, "{change}: {found:#?}");
        assert_eq!(*is_equal, !differs, "{change}");
    }

    drop(admin);
    let Some(judge) = Judge::of(&url).await else { return };
    let lefts: Vec<&str> = names.iter().map(|(left, _)| left.as_str()).collect();
    let rights: Vec<&str> = names.iter().map(|(_, right)| right.as_str()).collect();
    let (lefts, rights) = (judge.dump(&lefts).await, judge.dump(&rights).await);
    let sides = lefts.into_iter().zip(rights).zip(&names).zip(CHANGES);
    for (((left, right), names), (change, differs)) in sides {
        let (left, right) = (left.owned_by(&role_of(&names.0)), right.owned_by(&role_of(&names.1)));
        let differences = left.differences(&right);
        assert_eq!(differences.is_empty(), !differs, "{change}: {}", differences.concat());
    }
}

async fn build_with_role(admin: &mut PgConnection, schema: &str, sql: &str) {
    let role = role_of(schema);
    run(&mut *admin, &format!("create role {role}")).await;
    let sql = sql.replace("{role}", &role);
    build(admin, schema, &sql).await.expect("it can be built");
}

fn role_of(schema: &str) -> String {
    format!("role_of_{schema}")
}
