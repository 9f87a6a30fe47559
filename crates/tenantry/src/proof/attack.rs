//! The list of attacks, with descriptions.

use futures_util::future::BoxFuture;

use super::{
    attacks::{
        cancelled, crowd, ids, midway, planting,
        plants::{self, Plant},
        roles, rows, schemas, statements, storm, turns,
    },
    finding::Attacked,
    ground::Ground,
};

/// One attack.
#[derive(Debug)]
pub(super) struct Attack {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) what: &'static str,
    pub(super) expected: &'static str,
    pub(super) how: How,
}

/// How an attack is run.
#[derive(Debug, Clone, Copy)]
pub(super) enum How {
    /// Leaves state behind on the session that all tenants share.
    Plant(&'static [Plant]),
    /// Uses one session, which all tenants share.
    OneSession(Run),
    /// With several sessions.
    Sessions(Run),
    /// Uses one session, on tables with the rows of all tenants.
    Rows(Run),
}

type Run = for<'a> fn(&'a Ground<'a>) -> BoxFuture<'a, Attacked>;

impl How {
    pub(super) fn takes_sessions(self) -> bool {
        matches!(self, Self::Sessions(_))
    }

    /// Returns `true` if it applies only where tenants are isolated by row.
    pub(super) fn needs_rows(self) -> bool {
        matches!(self, Self::Rows(_))
    }
}

impl Attack {
    pub(super) fn run<'a>(&self, ground: &'a Ground<'a>) -> BoxFuture<'a, Attacked> {
        match self.how {
            How::Plant(plants) => Box::pin(planting::run(ground, plants)),
            How::OneSession(run) | How::Sessions(run) | How::Rows(run) => run(ground),
        }
    }
}

/// Returns the names of all attacks, in the order in which they are reported.
///
/// Those whose name begins with `row` apply, and are reported, if tenants are [isolated by
/// row](crate::Isolation::row), or if they are selected by name.
pub fn attack_names() -> impl Iterator<Item = &'static str> {
    ATTACKS.iter().map(|attack| attack.name)
}

macro_rules! run {
    ($path:path) => {
        |ground| Box::pin($path(ground))
    };
}

const NOTHING: &str = "The next tenant on the session finds nothing of it.";
const OWN_ROWS: &str = "Each tenant reads its own rows.";
const REFUSED: &str = "It is refused, and reads no row of any schema.";

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "pooler",
        title: "Pooler in between",
        what: "On two connections, inside and outside of transactions, the id of the server process is queried.",
        expected: "Each connection keeps its own process.",
        how: How::Sessions(run!(crowd::pooler)),
    },
    Attack {
        name: "manySessions",
        title: "Many sessions in any order",
        what: "Several sessions are bound to two tenants in turn. Then all of them are used in random order and at once, \
               outside and inside of transactions.",
        expected: OWN_ROWS,
        how: How::Sessions(run!(crowd::sessions)),
    },
    Attack {
        name: "concurrentCancellation",
        title: "Requests cancelled at random",
        what: "Many requests of both tenants run at once, and half of them are dropped at a random point: statements, \
               leases with temporary tables, transactions.",
        expected: "Each row that is read is the tenant's own.",
        how: How::Sessions(run!(storm::cancellation)),
    },
    Attack {
        name: "twoTenants",
        title: "Two tenants on one session",
        what: "Two tenants read the row of their own schema in turn, over one server session: with prepared statements \
               and as text, on a handle, on a lease and in a transaction.",
        expected: OWN_ROWS,
        how: How::OneSession(run!(turns::run)),
    },
    Attack {
        name: "searchPath",
        title: "Search path",
        what: "A tenant changes the search path: to its own schema, to PostgreSQL's, to nothing, by SET, by a function, \
               by an update of pg_settings, and in a transaction that it leaves open.",
        expected: NOTHING,
        how: How::Plant(plants::SEARCH_PATH),
    },
    Attack {
        name: "settings",
        title: "Settings",
        what: "A tenant changes settings of the session: PostgreSQL's, the characteristics of transactions, and a custom \
               one.",
        expected: NOTHING,
        how: How::Plant(plants::SETTINGS),
    },
    Attack {
        name: "statementTimeout",
        title: "Statement timeout",
        what: "A tenant sets a statement timeout of some milliseconds, runs into it and leaves it.",
        expected: "The next tenant's statements run for longer than that.",
        how: How::Plant(plants::TIMEOUT),
    },
    Attack {
        name: "role",
        title: "Role",
        what: "A tenant takes on a role.",
        expected: NOTHING,
        how: How::Plant(plants::ROLE),
    },
    Attack {
        name: "sessionAuthorization",
        title: "Session authorization",
        what: "A tenant takes on the session authorization of another role.",
        expected: "The next tenant finds nothing of it, or PostgreSQL refuses it to the login.",
        how: How::Plant(plants::SESSION_AUTHORIZATION),
    },
    Attack {
        name: "temporaryObjects",
        title: "Temporary objects",
        what: "A tenant creates a temporary table and a view with the name of a table that every tenant has, and a \
               temporary function and type.",
        expected: "The next tenant reads its own table and finds no temporary object.",
        how: How::Plant(plants::TEMPORARY),
    },
    Attack {
        name: "listen",
        title: "Channels",
        what: "A tenant listens to a channel.",
        expected: NOTHING,
        how: How::Plant(plants::LISTEN),
    },
    Attack {
        name: "advisoryLock",
        title: "Advisory locks",
        what: "A tenant takes advisory locks of the session, exclusive ones twice and shared ones.",
        expected: NOTHING,
        how: How::Plant(plants::LOCKS),
    },
    Attack {
        name: "cursor",
        title: "Cursor with hold",
        what: "A tenant declares a cursor that outlives its transaction.",
        expected: NOTHING,
        how: How::Plant(plants::CURSOR),
    },
    Attack {
        name: "preparedStatement",
        title: "Prepared statements under the library's names",
        what: "A tenant prepares statements with SQL, also under the names that the library's own have (sqlx_s_1 and so \
               on) after deallocating those, and under a name made of SQL.",
        expected: "The next tenant's statements are its own.",
        how: How::Plant(plants::PREPARED),
    },
    Attack {
        name: "sequenceState",
        title: "State of sequences",
        what: "A tenant draws from a sequence.",
        expected: "The next tenant cannot learn the number with lastval().",
        how: How::Plant(plants::SEQUENCES),
    },
    Attack {
        name: "randomSeed",
        title: "Seed of random()",
        what: "A tenant seeds random(), so that it knows the next number.",
        expected: "The next tenant draws another number.",
        how: How::OneSession(run!(planting::seed)),
    },
    Attack {
        name: "openTransaction",
        title: "Open and failed transactions",
        what: "A tenant leaves transactions open: with a row inserted, with a savepoint, with a table locked, \
               serializable and read-only, failed, and begun in disguise.",
        expected: "The next tenant is in no transaction, and the row is rolled back.",
        how: How::Plant(plants::TRANSACTION),
    },
    Attack {
        name: "severalStatements",
        title: "Several statements in one message",
        what: "A tenant sends several statements in one message, which change the session and leave a transaction open \
               or failed.",
        expected: NOTHING,
        how: How::Plant(plants::SEVERAL),
    },
    Attack {
        name: "ownEnum",
        title: "Types of each tenant",
        what: "Each tenant has an enum with the same name, but with different labels in a different order. Both bind \
               and read values of it, in turn, with one statement.",
        expected: "Each tenant's values are those of its own type.",
        how: How::OneSession(run!(statements::own_enum)),
    },
    Attack {
        name: "cachedPlan",
        title: "Cached plans",
        what: "Tables with the same name have different columns in each schema. Both tenants run one prepared \
               `select *`, in turn.",
        expected: "Each tenant gets its own columns and rows, and no error.",
        how: How::OneSession(run!(statements::cached_plan)),
    },
    Attack {
        name: "cancelledBegin",
        title: "Cancelled BEGIN",
        what: "A tenant's request is dropped at a random point while it begins a transaction, on a handle and on a \
               lease.",
        expected: "The next tenant is in no transaction.",
        how: How::OneSession(run!(cancelled::begin)),
    },
    Attack {
        name: "copyLeftOpen",
        title: "COPY left open",
        what: "A tenant drops a COPY while writing and while reading, and forgets to end one.",
        expected: "Its rows and answers reach no other tenant.",
        how: How::OneSession(run!(midway::copy)),
    },
    Attack {
        name: "lostSession",
        title: "Session lost in the middle",
        what: "The server process of a tenant's session is ended, in a transaction and with a temporary table there.",
        expected: "The next tenant gets another session, which is clean.",
        how: How::OneSession(run!(midway::lost_session)),
    },
    Attack {
        name: "missingTenant",
        title: "Missing tenants",
        what: "Handles are requested for tenants that do not exist, including one named like the shared schema.",
        expected: REFUSED,
        how: How::OneSession(run!(schemas::missing)),
    },
    Attack {
        name: "droppedSchema",
        title: "Dropped schema",
        what: "A handle is used after its tenant's schema was dropped. The shared schema has a table of the same name.",
        expected: REFUSED,
        how: How::OneSession(run!(schemas::dropped)),
    },
    Attack {
        name: "replacedSchema",
        title: "Replaced schema",
        what: "A handle is used after its tenant's schema was dropped and another was created under its name.",
        expected: REFUSED,
        how: How::OneSession(run!(schemas::replaced)),
    },
    Attack {
        name: "caseFolding",
        title: "Ids that differ in case",
        what: "The ids of three tenants differ only in case, and a fourth does not exist.",
        expected: "Each reads its own row, and the fourth is refused.",
        how: How::OneSession(run!(ids::case)),
    },
    Attack {
        name: "confusableIds",
        title: "Confusable ids",
        what: "A handle is requested with texts that are close to a tenant's id: with blanks, control and invisible \
               characters, quotes, dots, escapes, letters of other alphabets, and the names of its schema and of \
               PostgreSQL's.",
        expected: REFUSED,
        how: How::OneSession(run!(ids::confusable)),
    },
    Attack {
        name: "longIds",
        title: "Ids that are cut off",
        what: "Handles are requested for tenants whose schemas would have the same name after PostgreSQL truncates it \
               to 63 bytes.",
        expected: "The one that fits reads its own row, longer ones are refused.",
        how: How::OneSession(run!(ids::long)),
    },
    Attack {
        name: "tenantRoles",
        title: "Roles of tenants",
        what: "Two tenants have a role each. Both read on one session in turn, reset their role before they give it back, \
               and reach for the schema of the other by name.",
        expected: "Each session has its tenant's role, and PostgreSQL refuses the other schema.",
        how: How::OneSession(run!(roles::run)),
    },
    Attack {
        name: "rowTurns",
        title: "Rows of shared tables",
        what: "Two tenants read and write their rows of the same tables in turn, over one server session, with prepared \
               statements that are kept: plain, in transactions, with joins, upserts, views, functions and cursors.",
        expected: "Each tenant meets its own rows.",
        how: How::Rows(run!(rows::turns::run)),
    },
    Attack {
        name: "rowReach",
        title: "Rows of another tenant",
        what: "A tenant tries to read, lock, update, delete, insert, reassign, refer to, upsert over, copy and truncate \
               rows of another one, with prepared statements and as text, on its handle, on a lease and in a transaction.",
        expected: "It gets no row of the other tenant, and the other tenant's rows stay the same.",
        how: How::Rows(run!(rows::reach::run)),
    },
    Attack {
        name: "rowKey",
        title: "Key of the session",
        what: "A tenant's own SQL sets the key of its session to that of another tenant, removes it, or disables row \
               security: by SET, by functions, in DO blocks, and in transactions that it leaves open.",
        expected: "Afterwards, each tenant has its own key and rows, and sessions of no tenant have no key.",
        how: How::Rows(run!(rows::key::run)),
    },
    Attack {
        name: "rowInterrupted",
        title: "Rows after interruptions",
        what: "A tenant takes the key of another one in a transaction, and is cancelled at a random point, leaves the \
               transaction open, or panics.",
        expected: "Afterwards, each tenant has its own key and rows, and no row is added.",
        how: How::Rows(run!(rows::interrupted::run)),
    },
    Attack {
        name: "rowPolicies",
        title: "Policies of the application's tables",
        what: "The system catalogs are searched for ways around the policies of the real tables, and as the role of \
               tenants' sessions, the server is asked for each table whether policies apply.",
        expected: "Policies apply to each table, and nothing goes around them.",
        how: How::Rows(run!(rows::policies::run)),
    },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_sessions_come_first() {
        let names: HashSet<_> = attack_names().collect();
        assert_eq!(names.len(), ATTACKS.len());
        assert!(ATTACKS.is_sorted_by_key(|attack| !attack.how.takes_sessions()));
    }
}
