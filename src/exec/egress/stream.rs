//! A connection to a host that counts what passes and ends when the command has used up its bytes or its time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::proxy::Ledger;

/// A counted connection.
#[derive(Debug)]
pub(super) struct Counted {
    stream: TcpStream,
    ledger: Arc<Ledger>,
    at: Option<usize>,
    end: Pin<Box<Sleep>>,
}

impl Counted {
    pub(super) fn new(stream: TcpStream, ledger: Arc<Ledger>, at: Option<usize>, lasting: Duration) -> Self {
        Self { stream, ledger, at, end: Box::pin(sleep(lasting)) }
    }

    /// Polled before every read and write, so that the timer wakes whoever waits.
    fn permitted(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.end.as_mut().poll(context).is_ready() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the connection lasted longer than it may"));
        }
        if self.ledger.used_up() { Err(io::Error::other("the command has used up its bytes")) } else { Ok(()) }
    }
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.permitted(context)?;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.ledger.count(self.at, 0, (buffer.filled().len() - before) as u64);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.permitted(context)?;
        let count = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.ledger.count(self.at, count as u64, 0);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
