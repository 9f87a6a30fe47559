//! `grant` and `revoke` statements.

use std::collections::{BTreeMap, BTreeSet};

/// A privilege in the model's form: `grantee=privilege/grantor`, with a `*` for the grant option.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Grant<'a> {
    grantee: &'a str,
    privilege: &'a str,
    can_grant: bool,
    grantor: &'a str,
}

impl<'a> Grant<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut in_quotes = false;
        let end = text.find(|character| {
            in_quotes ^= character == '"';
            character == '=' && !in_quotes
        })?;
        let (grantee, rest) = (&text[..end], &text[end + 1..]);
        let (privilege, grantor) = rest.split_once('/')?;
        let can_grant = privilege.ends_with('*');
        Some(Self { grantee, privilege: privilege.trim_end_matches('*'), can_grant, grantor })
    }
}

/// Returns a privilege with other roles as its grantee and grantor.
pub(in crate::schema) fn grantee_and_grantor(grant: &str, role: impl Fn(&str) -> String) -> String {
    match Grant::parse(grant) {
        Some(Grant { grantee, privilege, can_grant, grantor }) => {
            let star = if can_grant { "*" } else { "" };
            format!("{}={privilege}{star}/{}", role(grantee), role(grantor))
        }
        None => grant.to_owned(),
    }
}

/// Returns `true` if the statements that grant are the same, in any order. Each grantor has separate lines, so these
/// can be swapped.
pub(crate) fn are_shown_alike(
    (left, left_owner): (&[String], Option<&str>),
    (right, right_owner): (&[String], Option<&str>),
) -> bool {
    let lines = |list: &[String], owner: &str| -> Option<Vec<String>> {
        let mut items: BTreeMap<_, [Vec<&str>; 2]> = BTreeMap::new();
        for grant in list {
            let grant = Grant::parse(grant)?;
            let item = items.entry((grant.grantor, grant.grantee)).or_default();
            item[usize::from(grant.can_grant)].push(grant.privilege);
        }
        let mut lines = Vec::new();
        for ((grantor, grantee), privileges) in &items {
            lines.extend((*grantor != owner).then(|| format!("by {grantor}")));
            let with = ["", " with grant option"].into_iter().zip(privileges);
            let with = with.filter(|(_, privileges)| !privileges.is_empty());
            lines.extend(with.map(|(option, list)| format!("{grantee}: {list:?}{option}")));
        }
        lines.sort_unstable();
        Some(lines)
    };
    let (Some(left_owner), Some(right_owner)) = (left_owner, right_owner) else { return false };
    let lines = lines(left, left_owner).zip(lines(right, right_owner));
    left_owner == right_owner && lines.is_some_and(|(left, right)| left == right)
}

/// Returns the initial privileges on a new object, for `table x`, `sequence x` and so on.
pub(crate) fn builtin_grants(granted: &str, owner: &str, server_version: u32) -> Vec<String> {
    let kind = granted.split(' ').next().unwrap_or_default();
    let (owners, everybody): (&[&str], &[&str]) = match kind {
        "table" if server_version >= 17 => (
            &[
                "INSERT",
                "SELECT",
                "UPDATE",
                "DELETE",
                "TRUNCATE",
                "REFERENCES",
                "TRIGGER",
                "MAINTAIN",
            ],
            &[],
        ),
        "table" => {
            (&["INSERT", "SELECT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"], &[])
        }
        "sequence" => (&["SELECT", "UPDATE", "USAGE"], &[]),
        "schema" => (&["USAGE", "CREATE"], &[]),
        "function" | "procedure" | "routine" => (&["EXECUTE"], &["EXECUTE"]),
        "type" | "domain" => (&["USAGE"], &["USAGE"]),
        _ => (&[], &[]),
    };
    let one = |grantee, privilege| format!("{grantee}={privilege}/{owner}");
    let owners = owners.iter().map(|privilege| one(owner, privilege));
    owners.chain(everybody.iter().map(|privilege| one("public", privilege))).collect()
}

/// Returns the statements that change the privileges on an object, `table x` or `(a) on table x` for a column, with
/// this owner.
pub(crate) fn grant_changes(
    granted: &str,
    owner: &str,
    before: &[String],
    after: &[String],
) -> Vec<String> {
    let set = |list: &'_ [String]| -> BTreeSet<String> { list.iter().cloned().collect() };
    let (before, after) = (set(before), set(after));
    // The grant option is revoked with the privilege; privileges that remain are granted again.
    let gone: Vec<Grant<'_>> = before.difference(&after).filter_map(|g| Grant::parse(g)).collect();
    let new: Vec<Grant<'_>> = after.difference(&before).filter_map(|g| Grant::parse(g)).collect();
    let mut statements = revocations(granted, owner, &gone, &new);
    statements.extend(new_grants(granted, owner, &gone, &new));
    statements
}

impl Grant<'_> {
    /// Returns `true` if it is the same privilege, apart from the grant option.
    fn is_alike(&self, other: &Self) -> bool {
        (other.grantee, other.privilege, other.grantor)
            == (self.grantee, self.privilege, self.grantor)
    }
}

fn revocations(granted: &str, owner: &str, gone: &[Grant<'_>], new: &[Grant<'_>]) -> Vec<String> {
    let mut groups: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for grant in gone {
        let words = match new.iter().find(|other| other.is_alike(grant)) {
            Some(other) if other.can_grant => continue,
            Some(_) => "revoke grant option for",
            None => "revoke",
        };
        groups.entry((grant.grantor, words, grant.grantee)).or_default().push(grant.privilege);
    }
    let mut statements = Vec::new();
    // A role with a grant option is the last to lose it.
    while !groups.is_empty() {
        let grantors: BTreeSet<&str> = groups.keys().map(|(grantor, ..)| *grantor).collect();
        let next = groups.keys().find(|(.., grantee)| !grantors.contains(grantee));
        let Some(group) = next.or(groups.keys().next()).copied() else { break };
        let privileges = groups.remove(&group).unwrap_or_default();
        let (grantor, words, grantee) = group;
        let statement = format!("{words} {} from {grantee}", on(&privileges, granted));
        statements.extend(granted_by(grantor, owner, statement));
    }
    statements
}

fn new_grants(granted: &str, owner: &str, gone: &[Grant<'_>], new: &[Grant<'_>]) -> Vec<String> {
    let mut groups: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for grant in new {
        let is_only_weaker = gone.iter().any(|other| other.can_grant && other.is_alike(grant));
        if !is_only_weaker {
            let group = (grant.grantor, grant.grantee, grant.can_grant);
            groups.entry(group).or_default().push(grant.privilege);
        }
    }
    let mut statements = Vec::new();
    // A role with a grant option must get it before it can grant.
    let mut able = BTreeSet::from([owner]);
    while !groups.is_empty() {
        let next = groups.keys().find(|(grantor, ..)| able.contains(grantor));
        let Some(group) = next.or(groups.keys().next()).copied() else { break };
        let privileges = groups.remove(&group).unwrap_or_default();
        let (grantor, grantee, can_grant) = group;
        if can_grant {
            able.insert(grantee);
        }
        let option = if can_grant { " with grant option" } else { "" };
        let statement = format!("grant {} to {grantee}{option}", on(&privileges, granted));
        statements.extend(granted_by(grantor, owner, statement));
    }
    statements
}

/// Returns the privileges with their object.
fn on(privileges: &[&str], granted: &str) -> String {
    match granted.starts_with('(').then(|| granted.split_once(" on ")).flatten() {
        Some((column, table)) => {
            let each = privileges.iter().map(|p| format!("{} {column}", p.to_lowercase()));
            format!("{} on {table}", each.collect::<Vec<_>>().join(", "))
        }
        None => format!("{} on {granted}", privileges.join(", ").to_lowercase()),
    }
}

fn granted_by(grantor: &str, owner: &str, statement: String) -> Vec<String> {
    match grantor == owner || owner.is_empty() {
        true => vec![statement],
        false => vec![format!("set role {grantor}"), statement, "reset role".to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(before: &[&str], after: &[&str]) -> Vec<String> {
        let list = |list: &[&str]| list.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
        grant_changes("table t", "o", &list(before), &list(after))
    }

    #[test]
    fn grants_what_is_new_and_revokes_what_is_gone() {
        assert_eq!(
            changes(&["o=SELECT/o", "o=INSERT/o"], &["o=SELECT/o", "r=SELECT/o", "r=UPDATE/o"]),
            ["revoke insert on table t from o", "grant select, update on table t to r"]
        );
        assert_eq!(
            changes(&["r=SELECT/o"], &["r=SELECT*/o"]),
            ["grant select on table t to r with grant option"]
        );
        assert_eq!(
            changes(&["r=SELECT*/o"], &["r=SELECT/o"]),
            ["revoke grant option for select on table t from r"]
        );
    }

    #[test]
    fn who_has_granted_on_loses_it_last() {
        assert_eq!(
            changes(&["a=SELECT*/o", "b=SELECT*/a", "c=SELECT/b"], &["a=SELECT*/o"]),
            [
                "set role b",
                "revoke select on table t from c",
                "reset role",
                "set role a",
                "revoke select on table t from b",
                "reset role"
            ]
        );
    }

    #[test]
    fn who_grants_on_is_granted_first() {
        assert_eq!(
            changes(&[], &["a=SELECT/\"z=/\"", "\"z=/\"=SELECT*/o"]),
            [
                "grant select on table t to \"z=/\" with grant option",
                "set role \"z=/\"",
                "grant select on table t to a",
                "reset role"
            ]
        );
    }

    #[test]
    fn a_columns_privileges_name_it() {
        let after = ["r=SELECT/o".to_owned(), "r=UPDATE/o".to_owned()];
        assert_eq!(
            grant_changes("(a) on table t", "o", &[], &after),
            ["grant select (a), update (a) on table t to r"]
        );
    }
}
