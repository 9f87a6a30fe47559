/// Which migrations a baseline records.
///
/// # Examples
///
/// ```
/// use tenantry::baseline::Baseline;
///
/// // Each tenant up to the version whose tables it has; first only a look.
/// let look = Baseline::detected().dry_run(true);
/// // Up to a version, where the schema is what that makes.
/// let checked = Baseline::to(20_240_101);
/// // The same without a comparison.
/// let trusted = Baseline::to(20_240_101).unchecked(true);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "options do nothing until a migrator gets them"]
pub struct Baseline {
    pub(super) to: Option<i64>,
    pub(super) unchecked: bool,
    pub(super) dry_run: bool,
}

impl Baseline {
    /// Finds the version of each tenant by its schema, so that tenants may have different ones.
    pub fn detected() -> Self {
        Self { to: None, unchecked: false, dry_run: false }
    }

    /// Records the migrations up to this version, in schemas that are what these migrations make.
    pub fn to(version: i64) -> Self {
        Self { to: Some(version), ..Self::detected() }
    }

    /// Records without comparing. Default: `false`.
    ///
    /// It needs a [version](Self::to). It is for migrations that cannot run in a scratch schema, because a role or an
    /// extension is missing, and for schemas that differ in ways that no later migration minds.
    pub fn unchecked(mut self, unchecked: bool) -> Self {
        self.unchecked = unchecked;
        self
    }

    /// Only compares, and tells what would be recorded. Default: `false`.
    ///
    /// The scratch schema is made and dropped in a dry run, too.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }
}
