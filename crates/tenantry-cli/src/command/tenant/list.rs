use clap::{Args, ValueEnum};

use super::view::TenantView;
use crate::{command::Ended, context::Context, exit::Exit, output::Table};

/// Arguments of `tenant list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only tenants in this state
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Print only ids, one per line, for `--tenants -` of other commands
    #[arg(long)]
    ids: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    Active,
    Suspended,
    /// Creation has not finished
    InTheMaking,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::InTheMaking => "in the making",
        }
    }
}

impl List {
    pub(super) async fn run(self, on: &Context) -> Ended {
        let manager = on.manager()?;
        let records = on.interruptible("the tenants were not listed", manager.tenants()).await?;
        let views = records.into_iter().map(|record| TenantView::new(manager, record));
        let views: Vec<_> = views
            .filter(|view| self.state.is_none_or(|state| state.word() == view.state()))
            .collect();
        on.output.report(&views, || if self.ids { ids(&views) } else { table(&views) })?;
        Ok(Exit::Fine)
    }
}

fn ids(views: &[TenantView]) -> String {
    views.iter().map(|view| view.record.id.as_str()).collect::<Vec<_>>().join("\n")
}

fn table(views: &[TenantView]) -> String {
    let mut table = Table::new(["tenant", "schema", "state", "created", "attributes"]);
    for view in views {
        table.row([
            view.record.id.to_string(),
            view.schema().to_owned(),
            view.state().to_owned(),
            view.created(),
            view.attributes(),
        ]);
    }
    let word = if views.len() == 1 { "tenant" } else { "tenants" };
    match table.is_empty() {
        true => "no tenants".to_owned(),
        false => format!("{table}\n\n{} {word}", views.len()),
    }
}
