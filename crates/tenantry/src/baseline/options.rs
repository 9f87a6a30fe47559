/// The migrations that a baseline records.
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
#[must_use = "options do nothing until they are passed to a migrator"]
pub struct Baseline {
    pub(super) to: Option<i64>,
    pub(super) unchecked: bool,
    pub(super) dry_run: bool,
}

impl Baseline {
    /// Detects the version of each tenant by its schema, so tenants may have different ones.
    pub fn detected() -> Self {
        Self { to: None, unchecked: false, dry_run: false }
    }

    /// Records the migrations up to this version, in schemas that match their result.
    pub fn to(version: i64) -> Self {
        Self { to: Some(version), ..Self::detected() }
    }

    /// Records without a comparison. Default: `false`.
    ///
    /// Requires a [version](Self::to). Use it for migrations that cannot run in a scratch schema,
    /// because a role or an extension is missing, and for schemas whose differences do not affect
    /// later migrations.
    pub fn unchecked(mut self, unchecked: bool) -> Self {
        self.unchecked = unchecked;
        self
    }

    /// Only compares, and reports what would be recorded. Default: `false`.
    ///
    /// A dry run also creates and drops the scratch schema.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }
}
