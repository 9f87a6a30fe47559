//! A listener whose connections can be cut.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connections::{Connections, Half, Place, Watch};

/// A listener whose connections [`serve()`](super::serve()) can cut at the deadline.
#[derive(Debug)]
pub struct Guarded<L> {
    listener: L,
    connections: Arc<Connections>,
}

/// A connection of a [`Guarded`] listener.
#[derive(Debug)]
pub struct GuardedIo<T> {
    io: T,
    place: Place,
}

impl<L> Guarded<L> {
    pub(super) fn new(listener: L, connections: Arc<Connections>) -> Self {
        Self { listener, connections }
    }
}

impl<L: Listener> Listener for Guarded<L> {
    type Io = GuardedIo<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (io, address) = self.listener.accept().await;
        (GuardedIo { io, place: self.connections.enter() }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

impl<T> GuardedIo<T> {
    pub(super) fn watch(&self) -> Watch {
        self.place.watch()
    }

    /// Returns the accepted connection.
    pub fn get_ref(&self) -> &T {
        &self.io
    }

    /// Returns the accepted connection, for example to set a socket option.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.io
    }
}

impl<T: Unpin> GuardedIo<T> {
    /// Polls the connection, unless it is cut before or meanwhile.
    fn unless_cut<R>(
        &mut self,
        half: Half,
        context: &mut Context<'_>,
        act: impl FnOnce(Pin<&mut T>, &mut Context<'_>) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if self.place.is_cut() {
            return Poll::Ready(Err(cut()));
        }
        match act(Pin::new(&mut self.io), context) {
            Poll::Pending => self.place.wait(half, context.waker()).map(|()| Err(cut())),
            ready => ready,
        }
    }
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "cut at the deadline of the shutdown")
}

impl<T: AsyncRead + Unpin> AsyncRead for GuardedIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.unless_cut(Half::Read, context, |io, context| io.poll_read(context, buffer))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for GuardedIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.unless_cut(Half::Write, context, |io, context| io.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.unless_cut(Half::Write, context, |io, context| io.poll_write_vectored(context, parts))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.unless_cut(Half::Write, context, |io, context| io.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.unless_cut(Half::Write, context, |io, context| io.poll_shutdown(context))
    }
}
