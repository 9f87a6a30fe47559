mod ask;
mod file;
mod look;
mod propose;
mod report;

use std::{
    fs,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use clap::Args;

pub(super) use self::report::InitReport;
use self::{
    look::Look,
    propose::{Proposal, Proposals},
};
use super::Ended;
use crate::{
    context::Context,
    exit::Exit,
    failure::Failure,
    global::Global,
    postgres::Connection,
    settings::{Settings, Source, Value, file as settings_file, key},
};

/// Arguments of `init`.
#[derive(Debug, Args)]
#[command(
    after_help = "Unless --no-look is given, it reads the system catalogs of the database; only --create-table \
                        changes anything there. On a terminal it asks about each proposal; --yes accepts all.\n\
                        Settings given with --set are written to the file."
)]
pub(crate) struct Init {
    /// File to write
    #[arg(long, short, value_name = "FILE", default_value = settings_file::NAME)]
    output: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    /// Accept all proposals without asking
    #[arg(long, short)]
    yes: bool,
    /// Do not inspect the database
    #[arg(long)]
    no_look: bool,
    /// Write the password of --database-url to the file, too
    #[arg(long)]
    write_password: bool,
    /// Create the catalog table if it is missing, and list tenants in it; an existing file is not changed
    #[arg(long, conflicts_with = "no_look")]
    create_table: bool,
}

impl Init {
    pub(crate) async fn run(self, on: &Context) -> Ended {
        if self.create_table && !self.force && self.output.is_file() {
            return self.complete(on).await;
        }
        self.refuse_existing()?;
        let asks =
            !self.yes && !on.output.json && io::stdin().is_terminal() && io::stderr().is_terminal();
        let url = match on.settings.database_url() {
            Ok(url) => Some(url),
            Err(failure) if on.settings.text(&key::DATABASE_URL).is_some() => return Err(failure),
            Err(_) if asks => ask::database_url()?,
            Err(_) => None,
        };
        let look = self.look(on, url.as_deref()).await?;
        let mut proposals = Proposals::new(&on.settings, &look, Path::new("."), self.create_table);
        if asks {
            ask::about(&mut proposals)?;
        }
        self.propose_url(on, url.as_deref(), &mut proposals)?;
        self.write(&file::text(&proposals, &look))?;
        let report = InitReport::new(&self.output, look, proposals, self.create_table);
        if self.create_table {
            self.make_table(on, url).await?;
        }
        on.output.report(&report, || report.text())?;
        Ok(Exit::Fine)
    }

    /// Creates the catalog's table as described in the existing file, which is not changed.
    async fn complete(self, on: &Context) -> Ended {
        let url = on.settings.database_url()?;
        let report = InitReport::of_kept(&self.output);
        self.make_table(on, Some(url)).await?;
        on.output.report(&report, || report.text())?;
        Ok(Exit::Fine)
    }

    fn refuse_existing(&self) -> Result<(), Failure> {
        let path = self.output.display();
        match fs::symlink_metadata(&self.output) {
            Ok(found) if found.is_dir() => Err(Failure::new(format!("{path} is a folder"))
                .hint(format!("name the file, such as {path}/{}", settings_file::NAME))),
            Ok(_) if !self.force => {
                Err(Failure::new(format!("{path} already exists"))
                    .hint("use --force to replace it"))
            }
            _ => Ok(()),
        }
    }

    async fn look(&self, on: &Context, url: Option<&str>) -> Result<Look, Failure> {
        if self.no_look {
            return Ok(Look::NotWanted);
        }
        let Some(url) = url else { return Ok(Look::NoUrl) };
        let progress = on.output.progress("init");
        progress.say("inspecting the database");
        on.interruptible("no file was written", async { Ok::<_, Failure>(look::at(url).await) })
            .await
    }

    /// Writes the URL to the file if it was given for that purpose: not if it comes from a variable, and without its
    /// password unless requested.
    fn propose_url(
        &self,
        on: &Context,
        url: Option<&str>,
        proposals: &mut Proposals,
    ) -> Result<(), Failure> {
        let Some(url) = url else { return Ok(()) };
        let source = on.settings.get(&key::DATABASE_URL).map(|(_, source)| source);
        if let Some(Source::Variable(name)) = source {
            proposals.remark(format!(
                "the database is the one of ${name}, which is not written to the file"
            ));
            return Ok(());
        }
        // The given URL, without a password that comes from a file or a command.
        let given = on.settings.text(&key::DATABASE_URL).unwrap_or(url);
        let connection = Connection::parse(given)?;
        let has_password = connection.get("password").is_some();
        let written = if self.write_password { connection.url() } else { connection.url_to_show() };
        let why = match (has_password, self.write_password) {
            (true, false) => {
                "as given, without the password: put that into ~/.pgpass, PGPASSWORD, or a file that \
                 database.password_file names"
            }
            (true, true) => "as given, with the password: keep the file out of version control",
            (false, _) => "as given",
        };
        let value = Value::Url(written);
        proposals.add(Proposal { key: &key::DATABASE_URL, value, why: why.to_owned() });
        Ok(())
    }

    fn write(&self, text: &str) -> Result<(), Failure> {
        use std::os::unix::fs::OpenOptionsExt;
        let mut options = fs::File::options();
        options.write(true);
        match self.force {
            true => options.create(true).truncate(true),
            false => options.create_new(true),
        };
        if self.write_password {
            options.mode(0o600);
        }
        let written =
            options.open(&self.output).and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| {
            Failure::while_doing(format_args!("writing {}", self.output.display()), &error)
        })
    }

    /// Creates the catalog's table as described in the file.
    async fn make_table(&self, on: &Context, url: Option<String>) -> Result<(), Failure> {
        let global =
            Global { config: Some(self.output.clone()), database_url: url, ..Global::default() };
        let settings = Settings::read(&global)?;
        let manager = settings.manager()?;
        let made = async {
            match settings.table_catalog()? {
                Some(catalog) => Ok(catalog.create_table(manager.shared()).await?),
                None => Err(Failure::new("tenants.catalog is not table")),
            }
        };
        let made = on.interruptible("the table may or may not exist", made).await;
        manager.close_within(std::time::Duration::from_secs(1)).await;
        made.map_err(|failure| {
            let path = self.output.display();
            Failure::new(format!("{path} exists, but the catalog table was not created: {failure}"))
                .hint(format!(
                    "then run `{} init --create-table --output {path}` again: it creates only the table",
                    on.program()
                ))
        })
    }
}
