//! Collects findings, up to a readable number.

use std::collections::HashSet;

use super::{Finding, Rule, lines::Lines};

/// The maximum number of reported findings per file, separately for errors and warnings.
const MOST: usize = 50;

/// Findings in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// In the order of their lines.
    pub(crate) list: Vec<Finding>,
    /// The number of further findings.
    pub(crate) more: usize,
}

/// Collects findings in a text.
pub(super) struct Found<'a> {
    lines: Lines<'a>,
    is_off: &'a dyn Fn(Rule) -> bool,
    seen: HashSet<(u32, Rule, String)>,
    warnings: usize,
    findings: Findings,
}

impl<'a> Found<'a> {
    pub(super) fn new(text: &'a str, is_off: &'a dyn Fn(Rule) -> bool) -> Self {
        Self {
            lines: Lines::new(text),
            is_off,
            seen: HashSet::new(),
            warnings: 0,
            findings: Findings::default(),
        }
    }

    /// Records that a rule is broken at a byte of the text. Equal findings in the same line are reported once.
    pub(super) fn add(&mut self, at: usize, rule: Rule, message: impl Into<String>) {
        if (self.is_off)(rule) {
            return;
        }
        let (line, message) = (self.lines.of(at), message.into());
        let told = match rule.is_warning() {
            true => self.warnings,
            false => self.findings.list.len() - self.warnings,
        };
        if told >= MOST {
            self.findings.more += 1;
        } else if self.seen.insert((line, rule, message.clone())) {
            self.warnings += usize::from(rule.is_warning());
            self.findings.list.push(Finding { line, rule, message });
        }
    }

    pub(super) fn into_findings(mut self) -> Findings {
        self.findings.list.sort_by_key(|finding| finding.line);
        self.findings
    }
}
