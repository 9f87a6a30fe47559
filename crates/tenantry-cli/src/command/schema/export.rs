use std::{fs, path::PathBuf};

use clap::{Args, ValueEnum};
use tenantry::Ident;

use crate::{command::Ended, context::Context, exit::Exit, failure::Failure};

/// Arguments of `schema export`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The tenant
    tenant: String,
    /// Output format
    #[arg(long, short, value_enum, default_value_t = As::Model)]
    format: As,
    /// File to write [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What a schema is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum As {
    /// The whole model as JSON, for `drift --model`
    Model,
    /// A JSON Schema of the rows of each table
    JsonSchema,
    /// The statements that create it
    Sql,
    /// A Mermaid diagram
    Mermaid,
    /// DBML, for dbdiagram.io
    Dbml,
}

impl Export {
    pub(super) async fn run(self, on: &Context) -> Ended {
        let drift = on.manager()?.drift();
        let model = on.interruptible("nothing was written", drift.introspect(&self.tenant)).await?;
        let format =
            if on.output.json && self.format != As::JsonSchema { As::Model } else { self.format };
        let text = match format {
            As::Model => model.to_json(),
            As::JsonSchema => serde_json::to_string_pretty(&model.json_schema())
                .map_err(|error| Failure::while_doing("writing the JSON Schema", &error))?,
            As::Sql => {
                let schema = Ident::parse(&model.schema)
                    .map_err(|error| Failure::while_doing(&model.schema, &error))?;
                model.ddl(&schema)
            }
            As::Mermaid => model.mermaid(),
            As::Dbml => model.dbml(),
        };
        match self.output {
            None => on.output.print(&text)?,
            Some(path) => {
                let text = format!("{}\n", text.trim_end_matches('\n'));
                fs::write(&path, text).map_err(|error| {
                    Failure::while_doing(format_args!("writing {}", path.display()), &error)
                })?;
            }
        }
        Ok(Exit::Fine)
    }
}
