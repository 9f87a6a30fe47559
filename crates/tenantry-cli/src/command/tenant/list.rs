use clap::{Args, ValueEnum};

use super::view::{PlacementView, TenantView};
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
    /// Served while its data is copied to another place
    Moving,
    /// Waiting while it changes places
    Cutover,
    /// Creation has not finished
    InTheMaking,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Moving => "moving",
            Self::Cutover => "cutover",
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

/// Lists the tenants; their places, too, unless all have a schema in the same database.
fn table(views: &[TenantView]) -> String {
    let is_usual = |view: &TenantView| view.placement.as_ref().is_none_or(PlacementView::is_usual);
    let places = !views.iter().all(is_usual);
    let mut headings = vec!["tenant", "schema", "state", "created", "attributes"];
    if places {
        headings.splice(1..1, ["isolation", "server", "database"]);
        headings.insert(5, "epoch");
    }
    let mut table = Table::of(&headings);
    for view in views {
        let mut cells = vec![
            view.record.id.to_string(),
            view.schema().to_owned(),
            view.state().to_owned(),
            view.created(),
            view.attributes(),
        ];
        if places {
            let [isolation, server, database, epoch] =
                PlacementView::cells(view.placement.as_ref());
            cells.splice(1..1, [isolation, server, database]);
            cells.insert(5, epoch);
        }
        table.cells(&cells);
    }
    let word = if views.len() == 1 { "tenant" } else { "tenants" };
    match table.is_empty() {
        true => "no tenants".to_owned(),
        false => format!("{table}\n\n{} {word}", views.len()),
    }
}
