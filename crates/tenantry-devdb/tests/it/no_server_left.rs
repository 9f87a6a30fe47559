//! However a process ends, no server of its is left.

use std::{path::Path, process::Command, thread};

use crate::{
    child::{Running, command},
    folder::Folder,
    wait::{is_running, until},
};

/// How a child comes to its end.
#[derive(Clone, Copy, Debug)]
enum End {
    Normal,
    Panic,
    Signal(&'static str),
}

/// A child with a server of which it says the postmaster's id and the data folder.
fn start(name: &str, folder: &Folder, end: End) -> (Running, u32, String) {
    let mut command = command(name);
    // A server in a private folder is one that no other test shares.
    command.env("TMPDIR", folder.path());
    if let End::Panic = end {
        command.env("CHILD_PANICS", "1");
    }
    let mut child = Running::start(&mut command);
    let postmaster = child.hear().parse().unwrap();
    let data = child.hear();
    assert!(is_running(postmaster));
    assert!(data.starts_with(folder.path().to_str().unwrap()), "{data} is elsewhere");
    (child, postmaster, data)
}

/// Ends a child and sees to it that its server goes.
fn no_server_is_left(name: &str, end: End) {
    let folder = Folder::new();
    let (child, postmaster, data) = start(name, &folder, end);
    if let End::Signal(signal) = end {
        child.signal(signal);
        child.wait();
    } else {
        assert_eq!(child.end(), matches!(end, End::Normal));
    }
    let home = Path::new(&data).parent().unwrap();
    until("the server is gone", || !is_running(postmaster) && !home.exists());
}

#[test]
fn of_its_own_after_a_normal_end() {
    no_server_is_left("has_its_own", End::Normal);
}

#[test]
fn of_its_own_after_a_panic() {
    no_server_is_left("has_its_own", End::Panic);
}

#[test]
fn of_its_own_after_ctrl_c() {
    no_server_is_left("has_its_own", End::Signal("INT"));
}

#[test]
fn of_its_own_after_kill() {
    no_server_is_left("has_its_own", End::Signal("KILL"));
}

/// One test, because each way takes as long as a shared server waits for its next user.
#[test]
fn shared_after_any_end() {
    let ends = [End::Normal, End::Panic, End::Signal("INT"), End::Signal("KILL")];
    thread::scope(|scope| {
        for end in ends {
            scope.spawn(move || no_server_is_left("shares", end));
        }
    });
}

/// A terminal sends Ctrl-C to the whole process group, and servers must not be hit by it: the
/// watchdog alone decides.
#[test]
fn server_and_watchdog_are_out_of_the_terminals_reach() {
    let folder = Folder::new();
    let (child, postmaster, data) = start("has_its_own", &folder, End::Normal);
    let home = Path::new(&data).parent().unwrap();
    let group = |pid: u32| {
        let output = Command::new("ps").args(["-o", "pgid=", "-p", &pid.to_string()]).output();
        String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned()
    };
    let own = group(std::process::id());
    assert_ne!(group(postmaster), own);
    assert_ne!(group(watchdog(home)), own);
    assert!(child.end());
}

#[test]
fn processes_after_one_another_and_at_a_time_share_a_server() {
    let folder = Folder::new();
    let (one, postmaster, _) = start("shares", &folder, End::Normal);
    let (two, same, _) = start("shares", &folder, End::Normal);
    assert_eq!(same, postmaster);
    // The one that started the server goes first.
    assert!(one.end());
    assert!(two.end());
    let (three, same, data) = start("shares", &folder, End::Normal);
    assert_eq!(same, postmaster);
    three.signal("KILL");
    three.wait();
    let home = Path::new(&data).parent().unwrap();
    until("the server is gone", || !is_running(postmaster) && !home.exists());
}

#[test]
fn next_start_ends_a_server_whose_watchdog_was_killed_too() {
    let folder = Folder::new();
    let (child, postmaster, data) = start("has_its_own", &folder, End::Normal);
    let home = Path::new(&data).parent().unwrap();
    let watchdog = watchdog(home);
    kill(watchdog);
    until("the watchdog is dead", || !is_running(watchdog));
    child.signal("KILL");
    child.wait();
    assert!(is_running(postmaster));

    let (next, other, _) = start("has_its_own", &folder, End::Normal);
    assert_ne!(other, postmaster);
    assert!(!is_running(postmaster) && !home.exists());
    assert!(next.end());
}

#[test]
fn of_a_cancelled_start() {
    let folder = Folder::new();
    let mut child = Running::start(command("cancels_a_start").env("TMPDIR", folder.path()));
    assert_eq!(child.hear(), "cancelled");
    assert_eq!(folder.homes().len(), 1);
    until("the folder is gone", || folder.homes().is_empty());
    assert!(child.end());
}

#[test]
fn of_a_process_killed_during_the_start() {
    let folder = Folder::new();
    let child = Running::start(command("has_its_own").env("TMPDIR", folder.path()));
    until("the start has begun", || !folder.homes().is_empty());
    child.signal("KILL");
    child.wait();
    until("the folder is gone", || folder.homes().is_empty());
}

fn watchdog(home: &Path) -> u32 {
    let pattern = format!("watchdog.sh {} ", home.display());
    let output = Command::new("pgrep").args(["-f", &pattern]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

fn kill(pid: u32) {
    let status = Command::new("kill").args(["-s", "KILL", &pid.to_string()]).status();
    assert!(status.unwrap().success());
}
