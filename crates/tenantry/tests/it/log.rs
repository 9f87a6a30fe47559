//! What is logged, as text.
//!
//! There is one subscriber for the whole binary, and each thread has a buffer of its own. Subscribers
//! of one thread each would not do: `tracing` decides once for all threads whether anybody is
//! interested in an event, and asks the thread that comes across it first.

use std::{cell::RefCell, io, sync::Once};

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
    static BUFFER: RefCell<Option<(Format, Vec<u8>)>> = const { RefCell::new(None) };
}

/// Runs something and returns what was logged on this thread meanwhile.
pub(crate) async fn logged(format: Format, what: impl Future<Output = TestResult>) -> String {
    static START: Once = Once::new();
    START.call_once(start);
    BUFFER.with_borrow_mut(|buffer| *buffer = Some((format, Vec::new())));
    what.await.expect("it works");
    let (_, bytes) = BUFFER.with_borrow_mut(Option::take).expect("it was put there");
    String::from_utf8(bytes).expect("it is UTF-8")
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
    registry().with(plain).with(full).init();
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
