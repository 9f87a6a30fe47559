//! A clone that is anonymized holds nothing of the source's people.

use sqlx::{PgConnection, Row};
use tenantry::{
    ErrorKind,
    anonymize::{Anonymize, Key},
    clone::{AnonymizeReport, CloneOptions, CloneReport},
};

use super::shop;
use crate::support::{World, observe, run};

const RULES: &str = r#"
[[rules]]
columns = ["people.email", "logins.email", "letters.recipient", "letters.cc", "sessions.email"]
mask = { fake = "email", unique = true }

[[rules]]
columns = ["people.name"]
mask = { fake = "name" }

[[rules]]
columns = ["people.phone"]
mask = { fake = "phone" }

[[rules]]
columns = ["people.born", "sessions.started", "sessions.ended"]
mask = { date_shift = { max_days = 20, per = "id" } }

[[rules]]
columns = ["people.height", "people.salary"]
mask = { noise = { percent = 10 } }

[[rules]]
columns = ["people.code", "logins.token"]
mask = "hash"

[[rules]]
columns = ["people.note", "letters.body", "people.avatar", "people.ip", "documents.raw"]
mask = "null"

[[rules]]
columns = ["documents.content"]
path = "contact.email"
mask = { fake = "email", unique = true }

[[rules]]
columns = ["documents.content"]
path = "contact.phones[*]"
mask = { fake = "phone" }

[[rules]]
columns = ["contacts.main"]
path = "value"
mask = "hash"

[[rules]]
columns = ["contacts.others"]
path = "[*].value"
mask = "hash"

[[rules]]
columns = ["audit.*_row"]
mask = "null"

[[rules]]
columns = ["*.id", "*.person", "*.owner", "plans.title"]
mask = "keep"
"#;

struct People {
    world: World,
    admin: PgConnection,
}

impl People {
    async fn new(rows: usize) -> Self {
        let world = World::new().await;
        let mut admin = world.admin().await;
        let sql = include_str!("people.sql")
            .replace("{s}", "tenant_shop")
            .replace("{rows}", &rows.to_string());
        run(&mut admin, &sql).await;
        Self { world, admin }
    }

    async fn cloned(
        &self,
        rules: &str,
        connections: usize,
    ) -> Result<CloneReport, tenantry::Error> {
        let rules = Anonymize::from_toml(rules).expect("it is TOML");
        let manager = shop::manager(self.world.database.url(), "tenant_shop");
        let options = CloneOptions::default().anonymize(rules).connections(connections);
        let cloned = manager.provisioner().clone_tenant("shop", "copy", options).await;
        manager.close().await;
        cloned
    }

    /// Returns all text of a schema, row by row.
    async fn text(&mut self, schema: &str) -> String {
        let relations = sqlx::query(
            "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname = $1 \
             union all select format('%I.%I', schemaname, matviewname) from pg_matviews where schemaname = $1",
        );
        let relations = relations.bind(schema).fetch_all(&mut self.admin).await;
        let mut text = String::new();
        for relation in relations.expect("the server runs") {
            let sql = format!(
                "select coalesce(string_agg(t::text, E'\\n'), '') from {} t",
                relation.get::<String, _>(0)
            );
            text.push_str(&observe(&mut self.admin, &sql).await);
        }
        text
    }

    async fn is(&mut self, sql: &str) -> bool {
        let sql = format!("select ({sql})::text");
        observe(&mut self.admin, &sql).await == "Some(\"true\")"
    }
}

fn expect_proved(report: &AnonymizeReport) {
    assert!(report.proof.is_complete() && report.proof.searched > 100, "{report}");
    for column in &report.columns {
        assert_eq!(column.unchanged, Some(0), "{column:?}\n{report}");
    }
}

/// Returns the error with its causes.
fn told(error: &tenantry::Error) -> String {
    let mut told = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        told.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    told
}

#[tokio::test]
async fn nothing_of_the_source_is_left_and_what_belonged_together_does() {
    for connections in [1, 2] {
        let mut people = People::new(300).await;
        let report = people
            .cloned(RULES, connections)
            .await
            .unwrap_or_else(|error| panic!("{}", told(&error)));
        expect_proved(report.anonymized.as_ref().expect("it is anonymized"));
        let text = people.text("tenant_copy").await;
        for part in
            ["person.number", "personal-", "Xaver", "Quillon", "555", "portrait-", "fair", "10.1."]
        {
            let clean = !text.contains(part) || part == "555" && !text.contains("30 555");
            assert!(clean, "{part} is left");
        }
        for sql in [
            // The same address is the same everywhere.
            "select count(*) = 300 from tenant_copy.logins l join tenant_copy.people p using (email)",
            "select bool_and(l.cc[1] = l.recipient and l.cc[3] is null) from tenant_copy.letters l",
            "select bool_and(d.content #>> '{contact,email}' = p.email) from tenant_copy.documents d join tenant_copy.people p on p.id = d.owner",
            "select bool_and((c.main).kind = 'email' and (c.main).value = (c.others[2]).value) from tenant_copy.contacts c",
            // What is computed follows.
            "select bool_and(label = name || ' <' || email || '>') from tenant_copy.people",
            "select count(*) = 300 from tenant_copy.directory d join tenant_copy.people p using (email)",
            // Times keep their distance, and move.
            "select bool_and(ended - started = 2) from tenant_copy.sessions",
            "select bool_and(c.born <> s.born and abs(c.born - s.born) <= 20) from tenant_copy.people c join tenant_shop.people s using (id)",
            "select bool_and(c.salary <> s.salary and abs(c.salary - s.salary) <= s.salary * 0.1 + 1) from tenant_copy.people c join tenant_shop.people s using (id)",
            "select bool_and(d.content -> 'n' = to_jsonb(d.owner) and d.content #> '{contact,phones}' <> '[]') from tenant_copy.documents d",
            "select count(*) = 2 from tenant_copy.plans where title like '% plan'",
            // What is inserted later is noted.
            "select count(*) = 0 from tenant_copy.audit where new_row is not null",
        ] {
            assert!(people.is(sql).await, "{sql}");
        }
    }
}

#[tokio::test]
async fn a_key_makes_the_same_masks_again() {
    let mut people = People::new(50).await;
    let manager = shop::manager(people.world.database.url(), "tenant_shop");
    for (id, key) in
        [("a", "0123456789abcdef"), ("b", "0123456789abcdef"), ("c", "another key of mine")]
    {
        let rules = Anonymize::from_toml(RULES).expect("it is TOML");
        let rules = rules.key(Key::from_bytes(key).expect("it is long enough"));
        let options = CloneOptions::default().anonymize(rules);
        manager.provisioner().clone_tenant("shop", id, options).await.expect("it is cloned");
    }
    manager.close().await;
    let same = |one: &str, other: &str| {
        format!(
            "select count(*) = 50 from tenant_{one}.people a join tenant_{other}.people b using (id, email, code, name)"
        )
    };
    assert!(people.is(&same("a", "b")).await);
    assert!(!people.is(&same("a", "c")).await);
}

#[tokio::test]
async fn what_looks_personal_needs_a_rule() {
    let mut people = People::new(50).await;
    let error = people.cloned("", 1).await.expect_err("everything is personal");
    assert_eq!(error.kind(), ErrorKind::Config);
    let words = told(&error);
    for column in [
        "people.email",
        "people.name",
        "people.phone",
        "people.born",
        "people.ip",
        "letters.recipient",
        "letters.cc",
        "documents.content",
        "audit.new_row",
        "contacts.main",
    ] {
        assert!(words.contains(column), "{column}: {words}");
    }
    for column in ["plans.title", "people.id", "people.label", "sessions.person"] {
        assert!(!words.contains(column), "{column}: {words}");
    }
    assert!(!words.contains("person.number") && !words.contains("Xaver"), "{words}");
    assert!(people.is("select count(*) = 0 from pg_namespace where nspname = 'tenant_copy'").await);
}

/// What was forgotten is found by the proof.
#[tokio::test]
async fn a_value_that_is_left_anywhere_is_found() {
    for (forgotten, place) in [
        ("[[rules]]\ncolumns = [\"audit.*_row\"]\nmask = \"null\"", "audit.new_row"),
        ("\"letters.body\", ", "letters.body"),
        ("\"letters.cc\", ", "letters.cc"),
    ] {
        let people = People::new(50).await;
        assert!(RULES.contains(forgotten));
        let rules = format!("strict = true\n{}", RULES.replace(forgotten, ""));
        // A rule keeps it on purpose, although other columns of that name are masked.
        let error = people.cloned(&rules, 1).await.expect_err("it is left");
        assert!(told(&error).contains(place), "{}", told(&error));
        let rules = rules.replace("strict = true", "strict = false");
        let report = people.cloned(&rules, 1).await.expect("it is told, and no more");
        let anonymized = report.anonymized.expect("it is");
        let leaks = &anonymized.proof.found;
        assert!(
            leaks.iter().any(|leak| leak.found_in == place && leak.values > 10),
            "{anonymized}"
        );
        let json = serde_json::to_string(&anonymized).expect("it is JSON");
        for words in [anonymized.to_string(), json] {
            assert!(!words.contains("person.number") && !words.contains("Xaver"), "{words}");
        }
    }
}

/// A path that leads nowhere would leave everything as it is.
#[tokio::test]
async fn a_path_that_leads_nowhere_is_no_mask() {
    let people = People::new(20).await;
    let rules =
        RULES.replace("contact.email", "contcat.email").replace("contact.phones[*]", "phones");
    let error = people.cloned(&rules, 1).await.expect_err("nothing is masked");
    assert!(told(&error).contains("documents.content"), "{}", told(&error));
    // Where there is nothing personal, it does not matter.
    let rules = format!(
        "{RULES}\n[[rules]]\ncolumns = [\"extras.data\"]\npath = \"email\"\nmask = \"null\""
    );
    let mut admin = people.world.admin().await;
    run(&mut admin, "create table tenant_shop.extras (id int primary key, data jsonb); insert into tenant_shop.extras values (1, '{\"a\": 1}')").await;
    let report = people.cloned(&rules, 1).await.unwrap_or_else(|error| panic!("{}", told(&error)));
    let proof = report.anonymized.expect("it is").proof;
    assert!(proof.not_provable.iter().any(|told| told.contains("extras.data")), "{proof:?}");
}

#[tokio::test]
async fn rules_that_cannot_be_are_told_all_at_once_before_anything_is_copied() {
    let mut people = People::new(10).await;
    for (rule, words) in [
        ("columns = [\"people.emial\"]\nmask = \"hash\"", "people.emial"),
        ("columns = [\"pepole.*\"]\nmask = \"hash\"", "pepole"),
        ("columns = [\"people.name\"]\nmask = \"null\"", "null"),
        ("columns = [\"people.email\"]\nmask = { constant = \"a@b.c\" }", "unique"),
        ("columns = [\"people.code\"]\nmask = { hash = { length = 4 } }", "unique"),
        ("columns = [\"people.label\"]\nmask = \"hash\"", "generated"),
        ("columns = [\"people.born\"]\nmask = \"hash\"", "born"),
        ("columns = [\"people.name\"]\nmask = { date_shift = { max_days = 3 } }", "name"),
        ("columns = [\"people.name\"]\npath = \"a.b\"\nmask = \"null\"", "name"),
        (
            "columns = [\"people.born\"]\nmask = { date_shift = { max_days = 3, per = \"nobody\" } }",
            "nobody",
        ),
        ("columns = [\"logins.email\"]\nmask = \"hash\"", "logins_email_fkey"),
        ("columns = [\"plans.label\"]\nmask = { fake = \"email\" }", "its type tag"),
        // Its check wants an address.
        (
            "columns = [\"people.email\", \"logins.email\", \"letters.recipient\", \"sessions.email\"]\nmask = \"hash\"",
            "people_email_check",
        ),
    ] {
        let rules = format!("strict = false\n[[rules]]\n{rule}");
        let error = people.cloned(&rules, 1).await.expect_err(rule);
        assert!(told(&error).contains(words), "{rule}: {}", told(&error));
        assert!(
            people.is("select count(*) = 0 from pg_namespace where nspname = 'tenant_copy'").await,
            "{rule}"
        );
    }
}

#[tokio::test]
async fn values_can_be_shuffled_and_computed() {
    let mut people = People::new(200).await;
    let rules = r#"
        strict = false
        [[rules]]
        columns = ["people.name", "people.salary"]
        mask = "shuffle"
        [[rules]]
        columns = ["people.note"]
        mask = { sql = "upper(left(code, 1)) || length(note) -- the rest goes" }
        [[rules]]
        columns = ["people.phone"]
        mask = { partial = { first = 3 } }
    "#;
    let report = people.cloned(rules, 1).await.unwrap_or_else(|error| panic!("{}", told(&error)));
    let anonymized = report.anonymized.expect("it is");
    for column in &anonymized.columns {
        assert_eq!(column.unchanged, Some(0), "{anonymized}");
    }
    for sql in [
        "select count(*) = 0 from tenant_copy.people c join tenant_shop.people s using (id) where c.name = s.name or c.salary = s.salary",
        "select count(*) = 0 from (select name from tenant_shop.people except all select name from tenant_copy.people) x",
        "select count(*) = 0 from (select salary from tenant_shop.people except all select salary from tenant_copy.people) x",
        "select bool_and(note ~ '^C\\d+$') from tenant_copy.people",
        "select bool_and(phone like '+49*%') from tenant_copy.people",
    ] {
        assert!(people.is(sql).await, "{sql}");
    }
}

/// The key and the values of the source are in no log of the server.
#[tokio::test]
async fn nothing_secret_is_in_the_log_of_the_server() {
    let server = crate::schema::corpus::server().await;
    let url = server.create_database("people").await.expect("the server runs");
    let mut admin = crate::support::connect(&url).await;
    let sql = include_str!("people.sql").replace("{s}", "tenant_shop").replace("{rows}", "20");
    run(&mut admin, &sql).await;
    for sql in [
        "alter system set log_statement = 'all'",
        "alter system set log_min_duration_statement = 0",
        "alter system set log_parameter_max_length = -1",
        "select pg_reload_conf()",
    ] {
        run(&mut admin, sql).await;
    }
    let read = || {
        let home = server.data_dir().parent().expect("it has a home").to_owned();
        std::fs::read_to_string(home.join("server.log")).expect("there is a log")
    };
    let before = read().len();
    let manager = shop::manager(&url, "tenant_shop");
    let rules = Anonymize::from_toml(RULES).expect("it is TOML");
    let key = "a key that nobody may see";
    let rules = rules.key(Key::from_bytes(key).expect("it is long enough"));
    let options = CloneOptions::default().anonymize(rules);
    manager.provisioner().clone_tenant("shop", "copy", options).await.expect("it is cloned");
    manager.close().await;
    let log = read();
    let log = &log[before..];
    assert!(log.contains("copy (select"), "it is not the log: {log}");
    for secret in [key, "person.number", "Xaver", "personal-"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}
