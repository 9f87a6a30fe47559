//! The attributes of a schema's objects.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! attributes {
    ($($(#[$docs:meta])* $variant:ident = $words:literal,)*) => {
        /// An attribute of an object.
        ///
        /// `Display` writes words: `not null`, `storage options`. The order is the order in which attributes are
        /// listed.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
        #[non_exhaustive]
        pub enum Attribute {
            $($(#[$docs])* #[serde(rename = $words)] $variant,)*
        }

        impl Attribute {
            /// Returns its name in words.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $words,)*
                }
            }
        }
    };
}

attributes! {
    // Of relations.
    /// The table that an index, trigger or statistics object belongs to.
    Table = "table",
    /// The names of the columns that the relation itself defines, in order.
    ColumnOrder = "order of columns",
    /// Not written to the write-ahead log.
    Unlogged = "unlogged",
    /// The composite type of a typed table.
    OfType = "of type",
    /// The tables that it inherits from, in order.
    Inherits = "inherits",
    /// The partitioned table that it is a partition of.
    PartitionOf = "partition of",
    /// The values that a partition is for, as `FOR VALUES …` or `DEFAULT`.
    PartitionBound = "partition bound",
    /// How a partitioned table is partitioned, as `LIST (region)`.
    PartitionKey = "partition key",
    /// The table access method.
    AccessMethod = "access method",
    /// The tablespace, unless it is the database's.
    Tablespace = "tablespace",
    /// Storage options, as `fillfactor=70`, in order; options of a view.
    Options = "options",
    /// Storage options of the TOAST table.
    ToastOptions = "TOAST options",
    /// What identifies a row in logical replication: `full` or `nothing`; on an index, that it does.
    ReplicaIdentity = "replica identity",
    /// Row-level security is enabled.
    RowSecurity = "row security",
    /// Row-level security applies to the owner as well.
    ForceRowSecurity = "row security forced",
    /// The foreign server.
    Server = "server",
    /// Options of a foreign table or its column.
    ForeignOptions = "foreign options",
    /// The query of a view; what an index, a constraint, a trigger or a rule is, without its name and table.
    Definition = "definition",

    // Of columns, domains and fields.
    /// The data type with its modifiers, as `numeric(10,2)`; of a domain the type it is based on; of a sequence.
    Type = "type",
    /// The collation, unless it is the type's own.
    Collation = "collation",
    /// Null is refused.
    NotNull = "not null",
    /// The name of the `NOT NULL` constraint, where it is not the one that PostgreSQL would choose (18).
    NotNullName = "name of not null",
    /// The `NOT NULL` constraint is not inherited (18).
    NotNullNoInherit = "not null no inherit",
    /// The `NOT NULL` constraint is not validated (18).
    NotNullInvalid = "not null not valid",
    /// The `NOT NULL` constraint is the table's, and not only inherited (18).
    NotNullLocal = "not null local",
    /// The comment on the `NOT NULL` constraint (18).
    NotNullComment = "comment on not null",
    /// The default.
    Default = "default",
    /// The expression of a generated column, stored.
    GeneratedStored = "generated stored",
    /// The expression of a generated column, virtual (18).
    GeneratedVirtual = "generated virtual",
    /// `always` or `by default`.
    Identity = "identity",
    /// The column comes from a parent table, and from nowhere else.
    Inherited = "inherited",
    /// The statistics target; of an index, those of its columns.
    StatisticsTarget = "statistics target",
    /// The storage mode, unless it is the type's own.
    Storage = "storage",
    /// The compression method.
    Compression = "compression",
    /// Options such as `n_distinct`.
    ColumnOptions = "column options",

    // Of sequences.
    /// The first value.
    Start = "start",
    /// The increment.
    Increment = "increment",
    /// The lowest value, unless it is the one that its type and direction imply.
    Minimum = "minimum",
    /// The highest value, unless it is the one that its type and direction imply.
    Maximum = "maximum",
    /// How many values a session takes at once.
    Cache = "cache",
    /// It begins anew at its end.
    Cycle = "cycle",
    /// The column that it is dropped with.
    OwnedBy = "owned by",
    /// The identity column that it belongs to.
    IdentityOf = "identity of",

    // Of indexes, constraints, triggers, rules, policies and statistics.
    /// It is a constraint trigger.
    ConstraintTrigger = "constraint trigger",
    /// The foreign key that a partition's trigger stands for.
    KeyTrigger = "trigger of the key",
    /// The index is unique.
    Unique = "unique",
    /// The index of the partitioned table that the index is a part of; likewise of a constraint.
    AttachedTo = "attached to",
    /// `CLUSTER` goes by this index.
    Clustered = "clustered",
    /// The comment on the index that belongs to a constraint.
    IndexComment = "comment on its index",
    /// When a trigger or rule fires, unless in ordinary sessions: `disabled`, `replica`, `always`.
    Enabled = "enabled",
    /// What a policy or a rule is for: `select`, `insert`, `update`, `delete`; a policy is for all by default.
    Command = "command",
    /// The policy restricts what others permit.
    Restrictive = "restrictive",
    /// The roles that a policy is for.
    Roles = "roles",
    /// The condition on rows that exist.
    Using = "using",
    /// The condition on rows that are written.
    Check = "check",
    /// The kinds of extended statistics.
    StatisticsKinds = "kinds",

    // Of routines.
    /// The arguments with their modes, names, types and defaults.
    Arguments = "arguments",
    /// What is returned.
    Returns = "returns",
    /// The language.
    Language = "language",
    /// The source text.
    Body = "body",
    /// The body is SQL that was parsed when the routine was made: `BEGIN ATOMIC …` or `RETURN …`.
    SqlBody = "SQL body",
    /// The object file of a function in C.
    ObjectFile = "object file",
    /// The types that transforms are applied for.
    Transforms = "transforms",
    /// It is a window function.
    Window = "window",
    /// `immutable` or `stable`; volatile is the default.
    Volatility = "volatility",
    /// `safe` or `restricted`; unsafe is the default.
    Parallel = "parallel",
    /// It returns null when an argument is null.
    Strict = "strict",
    /// It does not reveal its arguments.
    LeakProof = "leakproof",
    /// It runs with the rights of its owner.
    SecurityDefiner = "security definer",
    /// The estimated cost, unless it is the language's default.
    Cost = "cost",
    /// The estimated number of rows, unless 1000.
    Rows = "rows",
    /// The support function for the planner.
    Support = "support function",
    /// Its `SET` clauses, in order.
    Settings = "settings",

    // Of aggregates.
    /// What kind of aggregate it is: `ordered-set` or `hypothetical-set`.
    AggregateKind = "aggregate kind",
    /// The number of direct arguments.
    DirectArguments = "direct arguments",
    /// The state transition function.
    Transition = "transition function",
    /// The type of the state.
    State = "state type",
    /// The size of the state in bytes.
    StateSpace = "state size",
    /// The initial state.
    InitialState = "initial state",
    /// The final function, with whether it takes all arguments and changes the state.
    Final = "final function",
    /// The combine function.
    Combine = "combine function",
    /// The serialization function.
    Serial = "serialization function",
    /// The deserialization function.
    Deserial = "deserialization function",
    /// The forward transition function in moving mode.
    MovingTransition = "moving transition function",
    /// The inverse transition function in moving mode.
    MovingInverse = "moving inverse function",
    /// The type of the state in moving mode.
    MovingState = "moving state type",
    /// The size of the state in moving mode, in bytes.
    MovingStateSpace = "moving state size",
    /// The initial state in moving mode.
    MovingInitialState = "moving initial state",
    /// The final function in moving mode.
    MovingFinal = "moving final function",
    /// The sort operator.
    SortOperator = "sort operator",

    // Of types.
    /// The labels of an enum, in order.
    Labels = "labels",
    /// The subtype of a range.
    Subtype = "subtype",
    /// The multirange type of a range.
    Multirange = "multirange type",
    /// The operator class of a range's subtype, unless it is the default.
    SubtypeOperatorClass = "operator class",
    /// The canonicalization function of a range.
    Canonical = "canonical function",
    /// The difference function of a range's subtype.
    SubtypeDifference = "difference function",
    /// The type is not defined yet.
    Shell = "shell",
    /// The functions of a base type, and what else defines it, in order.
    TypeParameters = "parameters",

    // Of operators and text search.
    /// The function behind an operator or a conversion.
    Function = "function",
    /// The commutator.
    Commutator = "commutator",
    /// The negator.
    Negator = "negator",
    /// The selectivity function for restrictions.
    Restrict = "restrict function",
    /// The selectivity function for joins.
    Join = "join function",
    /// It can be used in a hash join.
    Hashes = "hashes",
    /// It can be used in a merge join.
    Merges = "merges",
    /// The operator family of an operator class.
    Family = "family",
    /// It is the default: of its type, or for its encodings.
    IsDefault = "is default",
    /// The operators and functions of a class or family, in order.
    Members = "members",
    /// What a collation is made of, in order.
    CollationParameters = "collation parameters",
    /// The locale of a collation.
    Locale = "locale",
    /// The tailoring rules of a collation (16).
    Rules = "rules",
    /// The encodings of a conversion.
    Encodings = "encodings",
    /// The functions of a parser or template, in order.
    Functions = "functions",
    /// The template of a dictionary.
    Template = "template",
    /// The parser of a configuration.
    Parser = "parser",
    /// The dictionaries of a configuration by kinds of tokens.
    Mappings = "mappings",

    // Of all.
    /// The owner, as `{role}` where it is the tenant's own role.
    Owner = "owner",
    /// The privileges, unless they are the built-in ones: `grantee=privilege/grantor`, with a `*` for the right
    /// to grant it on.
    Grants = "grants",
    /// The comment.
    Comment = "comment",
    /// The extensions with which it is dropped.
    DependsOnExtensions = "depends on extensions",
    /// A security label.
    Label = "label",
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
