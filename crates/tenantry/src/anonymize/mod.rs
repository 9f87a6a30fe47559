//! Masks for personal data in copies of tenants.
//!
//! [`Anonymize`] holds rules, written in Rust or TOML, that say what happens to which columns. All rules are checked
//! against a schema before anything is copied. Rows are masked between the source and the copy, so the copy never
//! contains an original value, not even in a dead row.
//!
//! ```text
//!   rules ─▶ plan for a schema ─▶ COPY … TO STDOUT ─▶ masks ─▶ COPY … FROM STDIN ─▶ search for source values
//!            (all errors at once)
//! ```
//!
//! # Examples
//!
//! ```
//! use tenantry::anonymize::{Anonymize, DateShiftMask, FakeKind, HashMask, Key, Mask};
//!
//! let rules = Anonymize::new()
//!     .key(Key::from_bytes(b"32 random bytes from a vault ...")?)
//!     // The same address gets the same hash in every table, so joins on it still work.
//!     .rule("*.email", HashMask::default().suffix("@example.invalid"))
//!     .rule("users.full_name", FakeKind::Name)
//!     .rule("*.phone", FakeKind::Phone)
//!     // All dates of a person are moved by the same number of days.
//!     .rule("visits.*_on", Mask::DateShift(DateShiftMask::new(30).per("user_id")))
//!     .rule("users.notes", Mask::Null)
//!     .keep("*.id");
//! # Ok::<(), tenantry::anonymize::KeyError>(())
//! ```

mod collector;
mod constant;
mod content;
mod copy_text;
mod date;
mod dictionary;
mod fake_kind;
mod finder;
mod fit;
mod foreign;
mod hash;
mod integer;
mod invent;
mod json;
mod json_text;
mod key;
mod leaf;
mod literal;
mod mask;
mod mask_form;
mod mask_options;
mod masker;
mod name;
mod noise;
mod outcome;
mod partial;
mod path;
mod pattern;
mod personal;
mod plan;
mod planner;
mod row;
mod row_masker;
mod rules;
mod shape;
mod tally;
mod template;
mod trial;
mod unique;
mod wrong_rule;

#[cfg(test)]
mod example;
pub(crate) use self::{
    collector::Collector,
    dictionary::Dictionary,
    finder::Finder,
    plan::{ColumnPlan, MaskPlan, Select, TablePlan},
    row_masker::{MaskError, RowMasker},
    tally::Tally,
    trial::Trial,
};

pub(crate) use copy_text::decode as decoded_field;
pub use fake_kind::FakeKind;
pub use key::{Key, KeyError};
pub use mask::Mask;
pub use mask_options::{DateShiftMask, FakeMask, HashMask, NoiseMask, PartialMask, SqlMask};
pub use personal::{Samples, Suspicion, SuspicionReason};
pub use rules::{Anonymize, Rule, RulesError};
pub use wrong_rule::{WrongRule, WrongRules};
