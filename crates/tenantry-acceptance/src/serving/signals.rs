//! Signals, sent to a process.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::program::{Mode, OWN_CODE, OWN_END, Program};

/// Requests are answered first.
pub async fn sigterm_drains_and_the_program_goes_on(module: &str) {
    let program = Program::start(module, Mode::Ends).await;
    let mut client = program.open("/late", "begun").await;
    program.send(Signal::TERM);
    assert!(client.until_closed().await.contains("and ended"));
    let (code, said) = program.end().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(r#""end":"drained""#), "{said}");
}

/// Although a request is under way, the deadline is far off, and the program does not come to its end.
pub async fn a_second_signal_ends_the_process(module: &str) {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let (ended, said, took) = twice(module, Mode::Held, signal).await;
        assert_eq!(ended, Some(code), "{said}");
        assert!(took >= Duration::from_millis(900), "the program had {took:?} to end by itself");
        assert!(said.contains(r#""end":"forced""#), "{said}");
    }
}

/// Serving has ended in order, and the program is stuck in what it does after that.
pub async fn a_second_signal_ends_a_program_that_is_stuck(module: &str) {
    let mut program = Program::start(module, Mode::Held).await;
    drop(program.open("/quick", "quick").await);
    program.send(Signal::INT);
    program.wait_for(r#""end":"drained""#).await;
    program.send(Signal::INT);
    let (code, said) = program.end().await;
    assert_eq!(code, Some(130), "{said}");
}

/// If it wants to: the library does not end it.
pub async fn a_second_signal_returns_to_the_program(module: &str) {
    let (code, said, took) = twice(module, Mode::EndsByItself, Signal::INT).await;
    assert_eq!(code, Some(OWN_CODE), "{said}");
    assert!(took >= OWN_END, "{took:?}");
    assert!(said.contains(r#""end":"forced""#), "{said}");
}

async fn twice(module: &str, mode: Mode, signal: Signal) -> (Option<i32>, String, Duration) {
    let program = Program::start(module, mode).await;
    let mut client = program.open("/endless", "data: tick").await;
    let mut events = program.open("/events", "data: tick").await;
    program.send(signal);
    events.wait_for("data: bye", 1).await;
    let second = Instant::now();
    program.send(signal);
    client.until_closed().await;
    let (code, said) = program.end().await;
    (code, said, second.elapsed())
}
