mod demo;
mod proof;

use std::{collections::BTreeMap, time::Duration};

use clap::Args;
use tenantry::{
    TenantManager,
    doctor::{CheckStatus, Doctor as Examination, DoctorReport, Examined, Finding, Severity},
};

use self::{demo::Demo, proof::Proof};
use super::Ended;
use crate::{
    context::Context,
    exit::Exit,
    failure::Failure,
    output::{Annotation, Confirm, Format, Output, Table, plain, tell},
    settings::{self, key},
};

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Checks to run, by name [default: all]
    #[arg(long, value_name = "CHECKS", value_delimiter = ',')]
    only: Vec<String>,
    /// Checks to skip
    #[arg(long, value_name = "CHECKS", value_delimiter = ',')]
    skip: Vec<String>,
    /// Severity of a check's findings: CHECK=info|warning|error
    #[arg(long, value_name = "CHECK=SEVERITY")]
    severity: Vec<String>,
    /// Number of processes that share the server, each with the full budget
    #[arg(long, value_name = "PROCESSES", value_parser = clap::value_parser!(u32).range(1..))]
    instances: Option<u32>,
    /// How long a check may take
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = settings::duration)]
    timeout: Duration,
    /// How many tenants' databases of each server are examined [default: 50]
    #[arg(long, value_name = "COUNT")]
    databases: Option<usize>,
    /// List the checks
    #[arg(long)]
    list: bool,
    /// Run the harmless fixes, after showing their SQL
    #[arg(long)]
    fix: bool,
    #[command(flatten)]
    confirm: Confirm,
    /// How findings are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Examine a throwaway server with three planted defects
    #[arg(long, conflicts_with_all = ["fix", "list"])]
    demo: bool,
    #[command(flatten)]
    proof: Proof,
}

impl Doctor {
    pub(crate) async fn run(self, on: &Context) -> Ended {
        if self.demo {
            let demo = Demo::start().await?;
            let ended = async {
                let examination = demo.examination()?;
                self.examine(on, self.options(on, examination)?).await
            };
            let ended = ended.await;
            demo.close().await;
            return ended;
        }
        if self.proof.prove_isolation {
            return self.proof.run(on, self.format).await;
        }
        let manager = match on.manager() {
            Ok(manager) => manager,
            Err(failure) if !self.list => return self.not_configured(&on.output, &failure),
            Err(failure) => return Err(failure),
        };
        let examination = self.options(on, examination(on, manager)?)?;
        if self.list {
            return list(on, &examination);
        }
        self.examine(on, examination).await
    }

    async fn examine(&self, on: &Context, examination: Examination) -> Ended {
        let progress = on.output.progress("doctor");
        progress.say("examining the configuration, the server and all tenants");
        let report = on.interruptible("the examination did not finish", examination.run()).await?;
        drop(progress);
        if report.checks.is_empty() {
            return Err(Failure::new("no check is left to run")
                .hint("--list lists the checks; see --only, --skip and doctor.skip"));
        }
        if self.format == Format::Text && !on.output.json && !self.fix {
            on.output.print("🔍 Checking tenantry configuration...\n")?;
        }
        match self.fix {
            true => self.fix(on, &examination, &report).await,
            false => self.tell(&on.output, &report),
        }
    }

    fn tell(&self, output: &Output, report: &DoctorReport) -> Ended {
        match self.format {
            Format::Github => output.annotate(&annotations(report))?,
            Format::Text => output.report(report, || report.to_string())?,
        }
        Ok(exit_of(report))
    }

    /// Reports in the same form that there is nothing to examine.
    pub(crate) fn not_configured(&self, output: &Output, failure: &Failure) -> Ended {
        self.tell(output, &DoctorReport::not_configured(failure.to_string()))
    }

    /// Shows the statements, asks, and runs them.
    async fn fix(&self, on: &Context, examination: &Examination, report: &DoctorReport) -> Ended {
        let harmless: Vec<_> = report.findings().filter(|(_, finding)| finding.harmless).collect();
        if harmless.is_empty() {
            on.output.note(
                "found nothing that can be fixed without harm; `doctor` reports all findings",
            );
            return Ok(exit_of(report));
        }
        for (check, finding) in &harmless {
            let text = plain(&finding.to_string());
            tell(format_args!("[{}] {text}\n", check.name));
            for (at, sql) in finding.sql.iter().enumerate() {
                let place = finding.sql_in.get(at).map(|place| format!(" -- {place}"));
                let place = place.unwrap_or_default();
                tell(format_args!("  {};{}\n", plain(sql), plain(&place)));
            }
        }
        self.confirm.typed("running these statements", "fix")?;
        let fixed = examination.fix(report);
        let fixed = on
            .interruptible("not all of these statements were run", async {
                Ok::<_, Failure>(fixed.await)
            })
            .await?;
        on.output.report(&fixed, || fixed.to_string())?;
        Ok(Exit::fine_if(fixed.is_success()))
    }

    fn options(&self, on: &Context, examination: Examination) -> Result<Examination, Failure> {
        if self.timeout.is_zero() {
            return Err(Failure::new("--timeout must be longer than zero"));
        }
        let given = self.instances.and_then(|given| usize::try_from(given).ok());
        let instances = given.or_else(|| on.settings.count(&key::INSTANCES)).unwrap_or(1);
        let mut examination = examination.instances(instances).check_timeout(self.timeout);
        if let Some(most) = self.databases {
            examination = examination.databases(most);
        }
        if !self.only.is_empty() {
            examination = examination.only(&self.only);
        }
        examination = examination.skip(self.skip.iter().chain(on.settings.list(&key::DOCTOR_SKIP)));
        for pair in on.settings.list(&key::DOCTOR_SEVERITY).iter().chain(&self.severity) {
            let (check, severity) = severity(pair)?;
            examination = examination.severity(check, severity);
        }
        Ok(examination)
    }
}

/// Builds the examination of a manager, with additional facts from the settings.
fn examination(on: &Context, manager: &TenantManager) -> Result<Examination, Failure> {
    let mut examination = manager.doctor().configuration(configuration(on));
    match on.tenant_migrations() {
        Ok(Some(migrations)) => examination = examination.tenants(migrations),
        Ok(None) => (),
        Err(problem) => examination = examination.tenants_problem(problem.to_string()),
    }
    match on.shared_migrations() {
        Ok(Some(migrations)) => examination = examination.shared(migrations),
        Ok(None) => (),
        Err(problem) => examination = examination.shared_problem(problem.to_string()),
    }
    for check in on.checks() {
        examination = examination.check(std::sync::Arc::clone(check));
    }
    Ok(examination)
}

/// Reports the sources of the settings.
fn configuration(on: &Context) -> Examined {
    let unknown: Vec<_> =
        on.settings.unknown_variables.iter().map(|(name, _)| format!("${name}")).collect();
    let examined = match (&on.settings.file, on.has_given_manager()) {
        (_, true) => Examined::ok("given by the program"),
        (Some(file), false) => {
            Examined::ok(file.display().to_string()).heading("Configuration file found")
        }
        (None, false) => Examined::ok("no file; from the environment, flags and defaults"),
    };
    if unknown.is_empty() {
        return examined;
    }
    let variables = unknown.join(", ");
    examined.finding(
        Finding::warning(
            format!("not a setting: {variables}"),
            "a setting that is misspelt has no effect",
        )
        .how("correct or unset it; `tenantry config` lists the variables"),
    )
}

fn severity(pair: &str) -> Result<(&str, Severity), Failure> {
    let wrong = || {
        Failure::new(format!("{pair:?} is not the severity of a check"))
            .hint("write it as primaryKeys=info, =warning or =error")
    };
    let (check, word) = pair.split_once('=').ok_or_else(wrong)?;
    let severity = match word {
        "info" => Severity::Info,
        "warning" => Severity::Warning,
        "error" => Severity::Error,
        _ => return Err(wrong()),
    };
    Ok((check.trim(), severity))
}

fn list(on: &Context, examination: &Examination) -> Ended {
    let checks: Vec<_> = examination.checks().collect();
    let json: BTreeMap<_, _> = checks.iter().copied().collect();
    on.output.report(&json, || {
        let mut table = Table::new(["check", "title"]);
        checks
            .iter()
            .for_each(|(name, title)| table.row([(*name).to_owned(), (*title).to_owned()]));
        table.to_string()
    })?;
    Ok(Exit::Fine)
}

fn exit_of(report: &DoctorReport) -> Exit {
    let warns = |status| matches!(status, CheckStatus::Warn | CheckStatus::Unknown);
    match report.success {
        false => Exit::Problems,
        true if report.checks.iter().any(|check| warns(check.status)) => Exit::Warnings,
        true => Exit::Fine,
    }
}

fn annotations(report: &DoctorReport) -> Vec<Annotation> {
    let mut found = Vec::new();
    let mut causes = BTreeMap::<_, Vec<_>>::new();
    for check in &report.checks {
        let title = format!("{}: {}", check.title, check.message);
        match check.status {
            CheckStatus::Error if check.findings.is_empty() => {
                found.push(Annotation::error(check.title.clone(), check.message.clone()))
            }
            CheckStatus::Warn if check.findings.is_empty() => {
                found.push(Annotation::warning(check.title.clone(), check.message.clone()))
            }
            CheckStatus::Unknown if check.findings.is_empty() && check.cause().is_some() => {
                causes.entry(check.cause()).or_default().push(check.title.as_str());
            }
            CheckStatus::Unknown => found.push(Annotation::warning(title, check.unseen.join("; "))),
            _ => (),
        }
        for finding in &check.findings {
            let title = format!("{}: {finding}", check.title);
            let text = [&finding.why, &finding.how].into_iter().filter(|text| !text.is_empty());
            let text = text.chain(&finding.sql).cloned().collect::<Vec<_>>().join("\n");
            found.push(match finding.severity {
                Severity::Error => Annotation::error(title, text),
                Severity::Warning => Annotation::warning(title, text),
                _ => Annotation::notice(title, text),
            });
        }
    }
    for (cause, checks) in causes {
        let title = format!("checks that could not run: {}", cause.unwrap_or_default());
        found.push(Annotation::warning(title, checks.join(", ")));
    }
    found
}
