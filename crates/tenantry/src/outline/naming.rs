use std::collections::BTreeMap;

use serde::Serialize;

use crate::tenant::NameTemplate;

/// A naming pattern of several schemas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Naming {
    /// The template, such as `tenant_{id}`.
    pub template: String,
    /// Number of schemas that match it.
    pub schemas: usize,
    /// Up to three of them, by name.
    pub examples: Vec<String>,
}

/// Separators between the words of a name.
const SEPARATORS: [char; 3] = ['_', '-', '.'];

/// Maximum number of examples.
const EXAMPLES: usize = 3;

/// Finds the templates that match at least two names.
///
/// A name yields a candidate for each separator in it, with the id after or before it. Of templates
/// that match the same names, the longest is the most specific: `tenant_eu_{id}` and not
/// `tenant_{id}`.
pub(super) fn namings<'n>(names: impl Iterator<Item = &'n str>) -> Vec<Naming> {
    let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for name in names.filter(|name| !["public", "information_schema"].contains(name)) {
        for (at, separator) in name.char_indices().filter(|(_, c)| SEPARATORS.contains(c)) {
            let behind = at + separator.len_utf8();
            for template in [format!("{}{{id}}", &name[..behind]), format!("{{id}}{}", &name[at..])]
            {
                let makes = NameTemplate::parse(&template)
                    .is_ok_and(|template| template.id_of(name).is_some());
                if makes {
                    found.entry(template).or_default().push(name);
                }
            }
        }
    }
    let mut namings: Vec<_> = found
        .into_iter()
        .filter(|(_, names)| names.len() > 1)
        .map(|(template, names)| Naming {
            template,
            schemas: names.len(),
            examples: names.into_iter().take(EXAMPLES).map(str::to_owned).collect(),
        })
        .collect();
    namings.sort_by(|a, b| {
        let by = |naming: &Naming| (naming.schemas, naming.template.len());
        by(b).cmp(&by(a)).then_with(|| a.template.cmp(&b.template))
    });
    namings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(names: &[&str]) -> Vec<String> {
        let namings = namings(names.iter().copied());
        namings.iter().map(|naming| format!("{} {}", naming.template, naming.schemas)).collect()
    }

    #[test]
    fn names_are_grouped_by_what_they_have_in_common() {
        assert_eq!(
            told(&["tenant_a", "tenant_b", "tenant_c", "public", "audit", "old_a"]),
            ["tenant_{id} 3", "{id}_a 2"]
        );
        assert_eq!(told(&["a_app", "b_app"]), ["{id}_app 2"]);
        assert_eq!(told(&["t_eu_a", "t_eu_b"])[0], "t_eu_{id} 2");
        assert_eq!(told(&["t_eu_a", "t_us_b", "t_us_c"])[0], "t_{id} 3");
        assert!(told(&["public", "one", "two", "_", "__", ""]).is_empty());
    }

    #[test]
    fn names_that_no_template_makes_are_passed_over() {
        // A name of PostgreSQL, a provisional one, an invalid id, and a name that contains the
        // placeholder.
        let odd =
            ["pg_a", "pg_b", "tenantry_spare_1", "tenantry_spare_2", "x_ä", "x_ b", "{id}_a_{id}"];
        assert!(told(&odd).iter().all(|told| !told.starts_with("pg_") && !told.starts_with("x_")));
        assert!(!told(&odd).iter().any(|told| told.contains("spare")), "{:?}", told(&odd));
        let long = format!("t_{}", "x".repeat(61));
        assert_eq!(told(&[&long, "t_y"]), ["t_{id} 2"]);
    }
}
