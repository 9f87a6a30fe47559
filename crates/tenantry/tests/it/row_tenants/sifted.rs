//! A clone of a tenant that is isolated by row has masked rows, or a part of them, as one of a schema has.

use std::error::Error as _;

use tenantry::{
    ErrorKind, Isolation, IsolationKind, TenantManager,
    anonymize::{Anonymize, Key},
    clone::{CloneOptions, CloneReport},
    provision::{CreateOptions, DropOptions},
};

use super::{Login, Scene, table};
use crate::support::{TestResult, observe, run};

const RULES: &str = r#"
[[rules]]
columns = ["people.email", "letters.recipient"]
mask = { fake = "email", unique = true }

[[rules]]
columns = ["people.name"]
mask = { fake = "name" }

[[rules]]
columns = ["people.born", "letters.sent"]
mask = { date_shift = { max_days = 20, per = "id" } }

[[rules]]
columns = ["people.code"]
mask = "hash"

[[rules]]
columns = ["people.salary"]
mask = { noise = { percent = 10 } }

[[rules]]
columns = ["people.note"]
path = "contact.phones[*]"
mask = { fake = "phone" }

[[rules]]
columns = ["letters.body"]
mask = { template = "{hash:12}" }

[[rules]]
columns = ["letters.tag"]
mask = { sql = "'tag of ' || id" }

[[rules]]
columns = ["*.id", "*.boss", "*.person", "*.tenant_id", "events.*"]
mask = "keep"
"#;

fn tables(role: &str) -> String {
    let people = "id int, email text not null, name text, born date, boss int, code text, salary numeric(10,2), \
         note jsonb, shout text generated always as (upper(name)) stored, check (email like '%@%'), \
         primary key (tenant_id, id), unique (tenant_id, email), foreign key (tenant_id, boss) references people";
    let letters = "id bigint generated always as identity, person int not null, recipient text, body text, \
         sent timestamptz, tag text, primary key (tenant_id, id), \
         foreign key (tenant_id, person) references people, \
         foreign key (tenant_id, recipient) references people (tenant_id, email)";
    let events = "id int, person int, primary key (tenant_id, id), \
         foreign key (tenant_id, person) references people";
    table("people", people, role)
        + &table("letters", letters, role)
        + &parted(&table("events", events, role))
}

/// Makes a table one with two partitions by its id.
fn parted(table: &str) -> String {
    let parted =
        table.replacen("references people);", "references people) partition by range (id);", 1);
    assert_ne!(parted, table);
    parted
        + "create table events_low partition of events for values from (0) to (20); \
           create table events_high partition of events for values from (20) to (100);"
}

const FILL: [&str; 3] = [
    "insert into people (id, email, name, born, boss, code, salary, note) \
     select n, 'person' || n || '@home.example', 'Rosalind Quimby ' || n, date '1980-01-01' + n, 1, 'secret-' || n, \
       1000 + n, jsonb_build_object('contact', jsonb_build_object('phones', jsonb_build_array('+49 30 901820' || n))) \
     from generate_series(1, 30) n",
    "insert into letters (person, recipient, body, sent, tag) \
     select n, 'person' || (31 - n) || '@home.example', 'dear friend ' || n, timestamptz '2024-05-01 12:00Z' + n * interval '1 day', 'private ' || n \
     from generate_series(1, 30) n",
    "insert into events (id, person) select n, n from generate_series(1, 30) n",
];

const TABLES: [&str; 3] = ["people", "letters", "events"];

/// The same tenant with the same rows, `acme`: in the tables of all, and in another database in a schema.
struct Twins {
    in_rows: Scene,
    in_schema: Scene,
    of_schema: TenantManager,
}

impl Twins {
    async fn new(login: Login) -> Self {
        let (in_rows, mut in_schema) =
            (Scene::with(login, tables).await, Scene::with(login, tables).await);
        for tenant in ["acme", "globex"] {
            let made = in_rows.provisioner().create(tenant, CreateOptions::default()).await;
            made.expect("it is new");
            let db = in_rows.manager.tenant(tenant).await.expect("it was created");
            for sql in FILL {
                run(&db, sql).await;
            }
        }
        let manager = in_schema.builder().or_isolation(Isolation::schema("tenant_{id}")).build();
        let of_schema = manager.expect("the configuration is sound");
        let provisioner = of_schema.provisioner().tenants(in_schema.files.read());
        let options = CreateOptions::default().isolation(IsolationKind::Schema);
        provisioner.create("acme", options).await.expect("it is new");
        let fill = format!(
            "set search_path to tenant_acme; set tenantry.tenant to acme; {}; \
             reset search_path; reset tenantry.tenant",
            FILL.join("; ")
        );
        run(&mut in_schema.admin, &fill).await;
        if login == Login::Owner {
            // Policies would hide the rows from the owner, who clones them.
            run(&mut in_schema.admin, &TABLES.map(no_force).concat()).await;
        }
        Self { in_rows, in_schema, of_schema }
    }

    async fn close(self) {
        self.of_schema.close().await;
        self.in_rows.manager.close().await;
        self.in_schema.manager.close().await;
    }

    async fn clone(&self, options: &CloneOptions) -> Result<CloneReport, tenantry::Error> {
        self.in_rows.manager.provisioner().clone_tenant("acme", "copy", options.clone()).await
    }

    /// Returns the rows of a table of both clones, without their keys.
    async fn rows(&mut self, table: &str) -> [String; 2] {
        let rows = |from: &str, key: &str| {
            format!(
                "select jsonb_agg(to_jsonb(t) - 'tenant_id' order by id)::text from {from}.{table} t \
                 where tenant_id = '{key}'"
            )
        };
        [
            observe(&mut self.in_rows.admin, &rows("app", "copy")).await,
            observe(&mut self.in_schema.admin, &rows("tenant_copy", "acme")).await,
        ]
    }

    /// Clones both, and compares the clones. Returns the report of the one in rows.
    async fn clone_both(&mut self, options: &CloneOptions) -> Result<CloneReport, tenantry::Error> {
        let of_rows = self.clone(options).await;
        let of_schema =
            self.of_schema.provisioner().clone_tenant("acme", "copy", options.clone()).await;
        let (of_rows, of_schema) = match (of_rows, of_schema) {
            (Ok(of_rows), Ok(of_schema)) => (of_rows, of_schema),
            (of_rows, of_schema) => {
                let of_rows = of_rows.expect_err("the one of the schema is refused");
                let of_schema = of_schema.expect_err("the one in rows is refused");
                assert_eq!(of_rows.kind(), of_schema.kind(), "{of_rows} {of_schema}");
                return Err(of_rows);
            }
        };
        for table in TABLES {
            let [of_rows, of_schema] = self.rows(table).await;
            assert_eq!(of_rows, of_schema, "{table}");
        }
        let count = |report: &CloneReport, table: &str| {
            let tables = report.tables.iter().filter(|found| found.name.starts_with(table));
            tables.map(|found| found.rows).sum::<u64>()
        };
        for table in TABLES {
            assert_eq!(count(&of_rows, table), count(&of_schema, table), "{table}");
        }
        if let (Some(of_rows), Some(of_schema)) = (&of_rows.anonymized, &of_schema.anonymized) {
            assert_eq!(of_rows.columns, of_schema.columns);
            let proof = |report: &tenantry::clone::AnonymizeReport| {
                (report.proof.searched, report.proof.excused, report.proof.is_complete())
            };
            assert_eq!(proof(of_rows), proof(of_schema));
        }
        Ok(of_rows)
    }
}

fn masks() -> Anonymize {
    let key = Key::from_bytes([7; 32]).expect("32 bytes");
    Anonymize::from_toml(RULES).expect("the rules are sound").key(key)
}

fn masked() -> CloneOptions {
    CloneOptions::default().anonymize(masks())
}

#[tokio::test]
async fn a_masked_clone_equals_that_of_a_schema() -> TestResult {
    for login in [Login::Superuser, Login::Owner] {
        let mut twins = Twins::new(login).await;
        let report = twins.clone_both(&masked()).await?;
        assert_eq!(report.rows(), 90);
        let anonymized = report.anonymized.expect("it is masked");
        assert!(anonymized.proof.is_complete(), "{anonymized}");
        let left = "select count(*)::text from app.people where tenant_id = 'copy' \
                    and (email like '%home%' or name like '%Quimby%' or shout like '%QUIMBY%' or code like 'secret%' \
                      or note::text like '%901820%')";
        assert_eq!(observe(&mut twins.in_rows.admin, left).await, "Some(\"0\")");
        for (table, rows) in [("people", 30), ("letters", 30), ("events", 30)] {
            let expected = format!("acme {rows}, copy {rows}, globex {rows}");
            assert_eq!(twins.in_rows.rows(table).await, expected);
        }
        // The source and the others are unchanged, and the clone is served.
        let copy = twins.in_rows.manager.tenant("copy").await?;
        assert_eq!(observe(&copy, "select count(*)::text from letters").await, "Some(\"30\")");
        let kept = "select count(*)::text from app.people where code like 'secret%'";
        assert_eq!(observe(&mut twins.in_rows.admin, kept).await, "Some(\"60\")");
        twins.close().await;
    }
    Ok(())
}

fn no_force(table: &str) -> String {
    format!("alter table tenant_acme.{table} no force row level security; ")
}

#[tokio::test]
async fn a_part_of_the_rows_is_that_of_a_schema() -> TestResult {
    let data = || CloneOptions::default().data(true);
    let parts = [
        (data().exclude_tables(["let*"]), "people 30, letters 0, events 30"),
        (data().filter("people", "id <= 10"), "people 10, letters 0, events 10"),
        (data().filter("letters", "person < 4"), "people 30, letters 3, events 30"),
        (
            data().filter("people", "id = 5").filter("letters", "id in (7, 9)"),
            "people 6, letters 2, events 1",
        ),
        (data().limit("people", 4), "people 4, letters 0, events 4"),
        (data().limit("letters", 3).exclude_tables(["events"]), "people 30, letters 3, events 0"),
        (data().filter("events", "id between 18 and 22"), "people 30, letters 30, events 5"),
        // Names in conditions are those of the tenant's rows.
        (
            data().filter(
                "letters",
                "exists (select from people p where p.email = recipient and p.id > 28)",
            ),
            "people 30, letters 2, events 30",
        ),
        (masked().filter("people", "code = 'secret-3'"), "people 2, letters 0, events 1"),
    ];
    let mut twins = Twins::new(Login::Superuser).await;
    for (options, expected) in parts {
        let report = twins.clone_both(&options).await?;
        let rows = TABLES.map(|table| {
            let rows =
                report.tables.iter().find(|found| found.name == table).map(|found| found.rows);
            format!("{table} {}", rows.unwrap_or_default())
        });
        assert_eq!(rows.join(", "), expected);
        for manager in [&twins.in_rows.manager, &twins.of_schema] {
            manager.provisioner().drop_tenant("copy", "copy", DropOptions::default()).await?;
        }
        twins.in_rows.free_keys().await;
        let free = "update tenantry_retired set retired_at = retired_at - interval '1 hour'";
        run(&mut twins.in_schema.admin, free).await;
    }
    twins.close().await;
    Ok(())
}

#[tokio::test]
async fn rules_are_refused_as_for_a_schema_and_a_mask_of_the_key_too() -> TestResult {
    let mut twins = Twins::new(Login::Superuser).await;
    let rules = |text: &str| -> CloneOptions {
        let strict = Anonymize::from_toml(text).expect("the rules are sound").strict(false);
        CloneOptions::default().anonymize(strict)
    };
    let rule = |columns: &str, mask: &str| {
        format!("[[rules]]\ncolumns = [\"{columns}\"]\nmask = {mask}\n")
    };
    let wrong = [
        (rule("people.email", "{ constant = \"x@y\" }"), "unique"),
        (rule("people.email", "\"hash\""), "the foreign key letters_tenant_id_recipient_fkey"),
        (rule("letters.person", "\"hash\""), "the foreign key letters_tenant_id_person_fkey"),
        (rule("events.id", "\"hash\""), "the column is part of the partition key"),
        (rule("people.nothing", "\"hash\""), "matches no column"),
        (rule("people.shout", "\"hash\""), "the column is generated"),
        (rule("people.id", "\"null\""), "people.id"),
    ];
    for (text, why) in wrong {
        let error = twins.clone_both(&rules(&text)).await.expect_err(&text);
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        let told = error.source().expect("the rules that are wrong").to_string();
        assert!(told.contains(why), "{told}");
    }
    let of_key = rule("people.tenant_id", "\"hash\"")
        + &rule("letters.tenant_id", "\"hash\"")
        + &rule("events.tenant_id", "\"hash\"");
    let error = twins.clone(&rules(&of_key)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    let told = error.source().expect("the rules that are wrong").to_string();
    for table in TABLES {
        let part = format!("{table}.tenant_id: the column has the key of the clone");
        assert!(told.contains(&part), "{told}");
    }
    // Rows that do not exist are named, and rows must be copied.
    for options in [
        CloneOptions::default().data(true).exclude_tables(["nothing*"]),
        CloneOptions::default().data(true).filter("nothing", "true"),
        CloneOptions::default().filter("people", "true"),
        masked().data(false),
        CloneOptions::default().data(true).limit("tenants", 1),
    ] {
        let error = twins.clone_both(&options).await.expect_err("it names no table");
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    }
    let unknown = twins.in_rows.manager.tenant("copy").await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::UnknownTenant, "nothing is left");
    assert_eq!(twins.in_rows.rows("people").await, "acme 30, globex 30");
    twins.close().await;
    Ok(())
}

#[tokio::test]
async fn no_value_that_is_to_be_masked_reaches_the_tables_of_all() -> TestResult {
    let mut twins = Twins::new(Login::Superuser).await;
    // A sequence counts rows that reach the table, also those of transactions that are rolled back.
    run(
        &mut twins.in_rows.admin,
        "create sequence app.reached; create sequence app.unmasked; grant all on all sequences in schema app to public; \
         create function app.count() returns trigger language plpgsql as $$ begin \
           perform nextval('app.reached'); \
           if new::text ~ 'home.example|Quimby|secret-|901820' then perform nextval('app.unmasked'); end if; \
           if (select count(*) from people) = 0 then raise 'it sees the tables of all'; end if; \
           return new; end $$; \
         create trigger count before insert on app.people for each row execute function app.count(); \
         create trigger count before insert on app.letters for each row execute function app.count()",
    )
    .await;
    let counted = "select concat_ws(' ', \
       (select case when is_called then last_value else 0 end from app.reached), \
       (select case when is_called then last_value else 0 end from app.unmasked))";
    // The name of a person is in a column with another rule, too: the search finds it.
    run(&mut twins.in_rows.admin, "update app.letters set tag = 'Rosalind Quimby 7' where id = 7")
        .await;
    let leaking =
        RULES.replace("mask = { sql = \"'tag of ' || id\" }", "mask = { sql = \"tag || ' '\" }");
    let leaking = Anonymize::from_toml(&leaking)?.key(Key::from_bytes([7; 32])?);
    let leaking = CloneOptions::default().anonymize(leaking);
    let error = twins.clone(&leaking).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Clone, "{error}");
    assert!(error.to_string().contains("people.name in letters.tag"), "{error}");
    assert_eq!(observe(&mut twins.in_rows.admin, counted).await, "Some(\"0 0\")");
    twins.clone(&masked()).await?;
    assert_eq!(observe(&mut twins.in_rows.admin, counted).await, "Some(\"60 0\")");
    twins.close().await;
    Ok(())
}
