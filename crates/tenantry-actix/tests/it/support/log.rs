use std::{
    cell::RefCell,
    io,
    sync::{Arc, Mutex, Once},
};

/// What the threads log that it was given to.
///
/// One subscriber serves the whole program: with one a thread, tracing may take a call site that
/// another thread meets at the same time for one that nobody is interested in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    written: Arc<Mutex<Vec<u8>>>,
}

static SUBSCRIBER: Once = Once::new();

thread_local! {
    static HERE: RefCell<Option<Log>> = const { RefCell::new(None) };
}

impl Log {
    /// Captures from now on what this thread logs.
    pub(crate) fn capture(&self) {
        SUBSCRIBER.call_once(|| {
            tracing_subscriber::fmt()
                .with_ansi(false)
                .with_max_level(tracing::Level::DEBUG)
                .with_writer(|| Writer)
                .init();
        });
        HERE.set(Some(self.clone()));
    }

    pub(crate) fn text(&self) -> String {
        let written = self.written.lock().expect("no test panics while it logs");
        String::from_utf8_lossy(&written).into_owned()
    }
}

struct Writer;

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        HERE.with_borrow(|here| {
            if let Some(log) = here {
                log.written.lock().map_err(|_| io::ErrorKind::Other)?.extend_from_slice(bytes);
            }
            Ok(bytes.len())
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
