//! Rules about constructs that look safe but are not.

use super::{
    super::BeyondKind, Attribute, Findings, LintRule, ObjectKey, ObjectKind, alter, ident, own,
};

pub(super) fn check(findings: &mut Findings<'_>) {
    not_valid(findings);
    row_security(findings);
    definers(findings);
    triggers(findings);
}

fn not_valid(findings: &mut Findings<'_>) {
    for (constraint, object) in findings.model.of_kind(ObjectKind::Constraint) {
        let definition = object.text(Attribute::Definition).unwrap_or_default();
        let Some(of) = constraint.of.as_deref() else { continue };
        if !definition.ends_with(" NOT VALID") || findings.is_ignored(of) {
            continue;
        }
        let validate = format!("validate constraint {}", ident(&constraint.name));
        let is_of_domain = findings.model.get(&ObjectKey::new(ObjectKind::Domain, of)).is_some();
        let fix = match is_of_domain {
            true => Some(format!("alter domain {} {validate};", own(of))),
            false => alter(of, &validate),
        };
        let message = "it is not validated: older rows may violate it".to_owned();
        findings.add(LintRule::ConstraintNotValid, constraint, message, fix);
    }
    for (column, object) in findings.model.of_kind(ObjectKind::Column) {
        if object.has(Attribute::NotNullInvalid) {
            let message =
                "the not-null constraint is not validated: older rows may be null".to_owned();
            findings.add(LintRule::ConstraintNotValid, column, message, None);
        }
    }
}

fn row_security(findings: &mut Findings<'_>) {
    for (table, object) in findings.model.of_kind(ObjectKind::Table) {
        let mut policies = findings.model.parts_of(ObjectKind::Policy, &table.name);
        let has_policy = policies.next().is_some();
        if findings.is_ignored(&table.name) {
            continue;
        }
        match (object.has(Attribute::RowSecurity), has_policy) {
            (true, false) => {
                let message =
                    "row-level security is enabled without a policy: only the owner sees rows";
                let rule = LintRule::RowSecurityWithoutPolicy;
                findings.add(rule, table, message.to_owned(), None);
            }
            (false, true) => {
                let message = "policies are ignored: row-level security is not enabled".to_owned();
                let fix = alter(&table.name, "enable row level security");
                findings.add(LintRule::PolicyWithoutRowSecurity, table, message, fix);
            }
            _ => {}
        }
    }
}

fn definers(findings: &mut Findings<'_>) {
    for (routine, object) in &findings.model.objects {
        let word = match routine.kind {
            ObjectKind::Function => "function",
            ObjectKind::Procedure => "procedure",
            _ => continue,
        };
        let mut settings = object.list(Attribute::Settings).iter();
        let is_set = settings.any(|setting| setting.starts_with("search_path="));
        if !object.has(Attribute::SecurityDefiner) || is_set {
            continue;
        }
        let message = "it runs with its owner's privileges, and the caller's search_path determines what its \
                       names mean"
            .to_owned();
        let arguments = routine.arguments.as_deref().unwrap_or_default();
        let fix = format!(
            "alter {word} {}({arguments}) set search_path = {{schema}}, pg_temp;",
            own(&routine.name)
        );
        findings.add(LintRule::SecurityDefinerSearchPath, routine, message, Some(fix));
    }
}

fn triggers(findings: &mut Findings<'_>) {
    for (trigger, object) in findings.model.of_kind(ObjectKind::Trigger) {
        let Some(table) = trigger.of.as_deref() else { continue };
        // The key is reported, below.
        let is_own = object.get(Attribute::KeyTrigger).is_none();
        if is_own
            && object.text(Attribute::Enabled) == Some("disabled")
            && !findings.is_ignored(table)
        {
            let fix = alter(table, &format!("enable trigger {}", ident(&trigger.name)));
            let message = "the trigger is disabled".to_owned();
            findings.add(LintRule::DisabledTrigger, trigger, message, fix);
        }
    }
    for beyond in &findings.model.beyond {
        if beyond.what == BeyondKind::KeyTriggerDisabled {
            let message =
                "a trigger of the foreign key is disabled: the key is not checked".to_owned();
            findings.add(LintRule::DisabledTrigger, &beyond.object, message, None);
        }
    }
}
