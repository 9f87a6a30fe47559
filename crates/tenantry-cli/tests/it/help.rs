//! The help of every command, as people see it.

use crate::support::Folder;

/// The subcommands that a help text lists.
fn listed(help: &str) -> Vec<&str> {
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = commands.take_while(|line| !line.is_empty());
    // A description that goes on in the next line is further to the right.
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").collect()
}

async fn help(folder: &Folder, path: &[String]) -> String {
    let ran = folder.tenantry(path.iter().map(String::as_str).chain(["--help"])).run().await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{path:?}");
    ran.stdout
}

/// Every command, the one without a name first.
async fn commands(folder: &Folder) -> Vec<(Vec<String>, String)> {
    let mut found = Vec::new();
    let mut next = vec![Vec::new()];
    while let Some(path) = next.pop() {
        let text = help(folder, &path).await;
        for name in listed(&text) {
            let mut deeper = path.clone();
            deeper.push(name.to_owned());
            next.push(deeper);
        }
        found.push((path, text));
    }
    found
}

#[tokio::test]
async fn every_command_explains_itself() {
    let folder = Folder::new();
    let commands = commands(&folder).await;
    assert!(commands.len() > 25, "{}", commands.len());
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots/help");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for (path, text) in &commands {
            let name = ["tenantry"].into_iter().chain(path.iter().map(String::as_str));
            insta::assert_snapshot!(name.collect::<Vec<_>>().join("-"), text);
        }
    });
    for (path, text) in &commands {
        let words = path.join(" ");
        let about = text.lines().next().unwrap_or_default();
        assert!(!about.is_empty() && !about.ends_with('.'), "{words}: {about:?}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{words}:\n{text}");
        assert!(text.contains("Global options:") && text.contains("--json"), "{words}");
    }
}

#[tokio::test]
async fn a_wrong_command_or_flag_names_the_nearest() {
    let folder = Folder::new();
    for (args, told) in [
        ("statsu", "'status'"),
        ("tenant creat acme", "'create'"),
        ("migrate --al", "'--all'"),
        ("migrate --all --tenant acme", "cannot be used with"),
        ("health --timeout 5", "must be a time such as 5s"),
        ("drift --format yaml", "text, github"),
        ("-q -v status", "cannot be used with"),
    ] {
        folder.tenantry(args.split(' ')).run().await.ended_with(2).says(told);
    }
    let ran = folder.tenantry::<&str>([]).run().await.ended_with(2);
    assert!(ran.stdout.is_empty() && ran.stderr.contains("Usage: tenantry"), "{ran:#?}");
    let ran = folder.tenantry(["--version"]).run().await.ended_with(0);
    assert_eq!(ran.stdout, format!("tenantry {}\n", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn scripts_and_pages_are_made_for_every_command() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = folder.tenantry(["completions", shell]).run().await.ended_with(0);
        assert!(ran.stdout.contains("max-failures") && ran.stderr.is_empty(), "{shell}");
    }
    let ran = folder.tenantry(["man"]).run().await.ended_with(0);
    assert!(ran.stdout.contains(".TH tenantry"), "{ran:?}");
    folder.tenantry(["man", "--folder", "pages"]).run().await.ended_with(0);
    for (path, _) in commands(&folder).await {
        let name = ["tenantry"].into_iter().chain(path.iter().map(String::as_str));
        let name = name.collect::<Vec<_>>().join("-");
        assert!(folder.read(&format!("pages/{name}.1")).contains(".SH SYNOPSIS"), "{name}");
    }
}

#[tokio::test]
async fn a_completion_script_is_one_that_bash_reads() {
    let folder = Folder::new();
    let script = folder.tenantry(["completions", "bash"]).run().await.ended_with(0).stdout;
    folder.write("script", format!("{script}\ncomplete -p tenantry\n"));
    folder.program("bash", ["script"]).run().await.ended_with(0).says("tenantry");
}
