//! What prevents a move at its target: names, rights, and what cannot be created there.

use std::time::Instant;

use super::{
    super::{
        ObstacleKind, container,
        ends::Ends,
        failure::told,
        fill::planned,
        sample::{self, Sample},
    },
    Examination,
};
use crate::{
    clone::{CloneOptions, Copying, Ends as Way},
    db::TenantTransaction,
    error::{Error, ErrorKind},
    provision::Provisioner,
    reading::read_once,
    schema::{BeyondKind, ObjectKind, SchemaModel},
    tenant::{Ident, IsolationKind},
};

/// Extensions that the server does not have. Parameter: their names.
const MISSING: &str = "\
    select pg_catalog.string_agg(m.name, ', ' order by m.name) from pg_catalog.unnest($1::pg_catalog.text[]) as m (name) \
    where not exists (select from pg_catalog.pg_available_extensions a \
      where a.name::pg_catalog.text operator(pg_catalog.=) m.name)";

impl Examination<'_> {
    pub(super) async fn target(&mut self) -> Result<(), Error> {
        if self.ends.target_kind() == IsolationKind::Row {
            return self.target_of_rows().await;
        }
        self.rights().await?;
        if self.ends.new_database().is_some() {
            return self.new_database().await;
        }
        let Ends { target, to_schema, .. } = self.ends;
        if container::is_taken(self.ends).await? {
            let what = format!("server {} already has a schema {to_schema}", self.ends.to());
            self.found(ObstacleKind::Name, what);
        } else if let Err(error) =
            Provisioner::new(target.clone()).refuse_name_in_use(to_schema).await
        {
            match error.kind() {
                ErrorKind::NameInUse => self.found(ObstacleKind::Name, told(&error)),
                _ => return Err(error),
            }
        }
        if !self.ends.are_rows() && self.obstacles.iter().all(|of| of.kind == ObstacleKind::Pause) {
            self.try_out().await?;
        }
        Ok(())
    }

    async fn rights(&mut self) -> Result<(), Error> {
        let Ends { target, .. } = self.ends;
        let role = target.role_of(&self.ends.site_at_target()).await?;
        let there = Provisioner::new(self.ends.target_server());
        let may = [
            there.refuse_missing_right(target.home()).await,
            there.refuse_missing_role(role.as_ref()).await,
        ];
        for refused in may.into_iter().filter_map(Result::err) {
            self.found(ObstacleKind::Privilege, told(&refused));
        }
        Ok(())
    }

    /// The structure is tried out once the database is there.
    async fn new_database(&mut self) -> Result<(), Error> {
        let provisioner = Provisioner::new(self.ends.control.clone());
        if provisioner.has_database(&self.ends.site_at_target()).await? {
            let what = format!(
                "server {} already has a database {}",
                self.ends.to(),
                self.ends.new_database().map_or("", Ident::as_str)
            );
            self.found(ObstacleKind::Name, what);
        }
        if self.ends.are_rows() {
            return Ok(());
        }
        let names = container::extensions(self.ends).await?;
        let names: Vec<_> = names.into_iter().map(|(name, _)| name).collect();
        let mut lease = self.ends.target_server().lease().await?;
        let missing = sqlx::query_scalar(MISSING).bind(names).persistent(false);
        let missing: Option<String> = missing.fetch_one(&mut *lease).await?;
        drop(lease);
        if let Some(missing) = missing {
            let what =
                format!("on the target's server, these extensions are not installed: {missing}");
            self.found(ObstacleKind::Structure, what);
        }
        let subject = self.ends.subject_at_source().await?;
        let model = read_once(&self.ends.source, &subject).await?;
        self.not_carried(&model);
        self.tables = u32::try_from(model.of_kind(ObjectKind::Table).count()).unwrap_or(u32::MAX);
        self.sample = self.measure(&subject.schema).await?;
        Ok(())
    }

    async fn target_of_rows(&mut self) -> Result<(), Error> {
        let from = self.ends.rows_at_source(&self.ends.schema)?;
        let to = self.ends.rows_at_target()?;
        let rows = self.ends.rows_of_target(&to);
        for what in rows.refusals(self.ends.rows_of_source(&from)).await? {
            self.found(ObstacleKind::Structure, what);
        }
        if let Some(other) = rows.sharer(&self.ends.control).await? {
            let what = format!(
                "its key {:?} in schema {} is also the key of tenant {other} there",
                rows.key(),
                self.ends.to_schema
            );
            self.found(ObstacleKind::Name, what);
        }
        match rows.refuse_key_in_use().await {
            Err(error) if error.kind() == ErrorKind::NameInUse => {
                self.found(ObstacleKind::Name, told(&error));
                Ok(())
            }
            free => free,
        }
    }

    /// Creates the empty schema on the target and rolls that back: nothing else shows that all extensions, roles, types
    /// and privileges are there.
    async fn try_out(&mut self) -> Result<(), Error> {
        let subject = self.ends.subject_at_source().await?;
        let model = read_once(&self.ends.source, &subject).await?;
        let model = self.ends.for_target(model).await?;
        self.not_carried(&model);
        let to = self.ends.subject_at_target().await?;
        let options = CloneOptions::default().data(true);
        let plan = planned(self.ends, &model, &options, &to)?;
        let way = Way { from: &subject, model: &model, to: &to };
        let target = &self.ends.target;
        let lease = target.lease_for(&target.site_of(&to.schema)).await?;
        let mut tx = TenantTransaction::open(lease).await?;
        let began = Instant::now();
        let tried = Copying::new(way, &plan, &options, None).unchanging(None, &mut tx).await;
        drop(tx.rollback().await);
        self.structure = began.elapsed();
        match tried {
            Ok(copied) => self.remarks.extend(copied.remarks),
            Err(error) if is_of_server(&error) => return Err(error),
            Err(error) => {
                let what =
                    format!("the structure cannot be created on the target: {}", told(&error));
                self.found(ObstacleKind::Structure, what);
                return Ok(());
            }
        }
        self.tables = u32::try_from(model.of_kind(ObjectKind::Table).count()).unwrap_or(u32::MAX);
        self.sample = self.measure(&subject.schema).await?;
        Ok(())
    }

    async fn measure(&self, schema: &Ident) -> Result<Sample, Error> {
        let source = &self.ends.source;
        let mut from = source.lease_for(&source.site_of(schema)).await?;
        let mut to = self.ends.target_server().lease().await?;
        let site = self.ends.rows_at_source(schema).ok();
        let rows = site.as_ref().and_then(|site| site.rows.as_deref());
        let sample = sample::take(&mut from, &mut to, schema, rows).await;
        from.settle().await;
        to.settle().await;
        sample
    }

    /// Names what a copy would lack.
    fn not_carried(&mut self, model: &SchemaModel) {
        let is_made = |kind| match kind {
            BeyondKind::NotPopulated => true,
            // They are created in the new database.
            BeyondKind::Extension => self.ends.new_database().is_some(),
            _ => false,
        };
        let beyond = model.beyond.iter().filter(|fact| !is_made(fact.what));
        let facts: Vec<_> = beyond.map(|fact| format!("it would not be copied: {fact}")).collect();
        for fact in facts {
            self.found(ObstacleKind::NotCarried, fact);
        }
    }
}

/// Returns `true` if an error says nothing about the structure.
fn is_of_server(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Closed | ErrorKind::Overloaded
    )
}
