//! What an example prints for people.

use std::{fmt, net::SocketAddr};

/// Prints where the service listens and the lines to try, all at once.
///
/// Each line is an explanation and a `curl` command in which `{url}` stands for the service's URL.
/// An explanation ends with a colon and the status if that is not 2xx: `an unknown tenant: 404`. A
/// test runs the lines as printed and compares the status.
pub fn show(address: SocketAddr, about: &str, lines: &[(&str, String)]) {
    let mut text = format!("listening on http://{address}; {about}. Try:\n");
    for (explanation, line) in lines {
        let line = line.replace("{url}", &format!("http://{address}"));
        text += &format!("\n# {explanation}\n{line}\n");
    }
    say(text + "\n# Ctrl-C ends the program.");
}

/// Prints a line to stdout.
#[expect(clippy::print_stdout, reason = "the output of the examples, printed in this place alone")]
pub fn say(line: impl fmt::Display) {
    println!("{line}");
}
