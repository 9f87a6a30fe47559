//! What is logged, as text.
//!
//! There is one subscriber for the whole binary, and each thread has a buffer of its own. Subscribers
//! of one thread each would not do: `tracing` decides once for all threads whether anybody is
//! interested in an event, and asks the thread that comes across it first.

use std::{
    cell::{Cell, RefCell},
    io,
    sync::Once,
};

use tenantry::PlainFormat;
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{LevelFilter, dynamic_filter_fn},
    fmt,
    layer::SubscriberExt,
    registry,
    util::SubscriberInitExt,
};

use crate::support::TestResult;

/// How it is written, and what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// As `PlainFormat` does, from `DEBUG` on.
    Plain,
    /// As `tracing_subscriber` does by itself, everything.
    Full,
}

thread_local! {
    static TRAP: Cell<Option<&'static str>> = const { Cell::new(None) };
    static BUFFER: RefCell<Option<(Format, Vec<u8>)>> = const { RefCell::new(None) };
}

/// Runs something and returns what was logged on this thread meanwhile.
pub(crate) async fn logged(format: Format, what: impl Future<Output = TestResult>) -> String {
    static START: Once = Once::new();
    START.call_once(start);
    BUFFER.with_borrow_mut(|buffer| *buffer = Some((format, Vec::new())));
    what.await.expect("it works");
    TRAP.set(None);
    let (_, bytes) = BUFFER.with_borrow_mut(Option::take).expect("it was put there");
    String::from_utf8(bytes).expect("it is UTF-8")
}

/// Returns what was logged on this thread so far, while [`logged`] is under way.
pub(crate) fn logged_so_far() -> String {
    let bytes = BUFFER.with_borrow(|buffer| buffer.as_ref().map(|(_, bytes)| bytes.clone()));
    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
}

fn start() {
    let plain = fmt::layer()
        .event_format(PlainFormat::default())
        .with_ansi(false)
        .with_writer(|| Buffer)
        .with_filter(dynamic_filter_fn(|_, _| is_wanted(Format::Plain)))
        .with_filter(EnvFilter::new("tenantry=debug,my_app=info"));
    let full = fmt::layer()
        .with_ansi(false)
        .with_writer(|| Buffer)
        .with_filter(dynamic_filter_fn(|_, _| is_wanted(Format::Full)))
        .with_filter(LevelFilter::TRACE);
    let trap = Trap.with_filter(dynamic_filter_fn(|_, _| TRAP.get().is_some()));
    registry().with(trap).with(plain).with(full).init();
}

/// Has the subscriber panic at events with this message on this thread, while something is logged.
pub(crate) fn panic_at(message: &'static str) {
    TRAP.set(Some(message));
}

/// A subscriber that is broken.
struct Trap;

impl<S: tracing::Subscriber> Layer<S> for Trap {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        if let Some(trap) = TRAP.get() {
            let mut message = String::new();
            event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
                if field.name() == "message" {
                    message = format!("{value:?}");
                }
            });
            assert_ne!(message, trap, "on purpose");
        }
    }
}

fn is_wanted(format: Format) -> bool {
    let wanted =
        |buffer: &Option<(Format, _)>| matches!(buffer, Some((asked, _)) if *asked == format);
    BUFFER.with_borrow(wanted)
}

/// The buffer of the thread that writes.
struct Buffer;

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        BUFFER.with_borrow_mut(|buffer| {
            if let Some((_, text)) = buffer {
                text.extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
