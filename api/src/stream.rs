//! Long answers, written by a blocking thread while they are sent: memory is a few chunks.

use std::io::{self, Write};

use actix_web::HttpResponseBuilder;
use actix_web::rt::task::spawn_blocking;
use actix_web::{HttpResponse, body::BodyStream};
use bytes::Bytes;
use futures_util::stream;
use store::{Store, Tx};
use tokio::sync::mpsc;

use crate::problem::{Problem, Result};

/// Bytes of a chunk, and chunks that wait for a slow client.
const CHUNK: usize = 64 * 1024;
const WAITING: usize = 4;

/// Answers with what `write` writes from one snapshot of the database. A fault before the first
/// chunk is a problem document, one after it breaks the connection off.
pub async fn streamed(
    store: Store,
    mut answer: HttpResponseBuilder,
    write: impl FnOnce(&mut Tx<'_>, &mut dyn Write) -> Result<()> + Send + 'static,
) -> Result<HttpResponse> {
    let (sender, mut receiver) = mpsc::channel::<Result<Bytes>>(WAITING);
    spawn_blocking(move || {
        let mut chunks = Chunks { sender: sender.clone(), buffer: Vec::new() };
        let done = store.read(|tx| {
            write(tx, &mut chunks)?;
            chunks.flush().map_err(Problem::internal)
        });
        if let Err(problem) = done {
            // Without a receiver there is nobody to tell: the client has gone.
            let _ = sender.blocking_send(Err(problem));
        }
    });
    let first = match receiver.recv().await {
        Some(Err(problem)) => return Err(problem),
        first => first,
    };
    let chunks = stream::unfold((first, receiver), |(first, mut receiver)| async {
        let chunk = match first {
            Some(chunk) => chunk,
            None => receiver.recv().await?,
        };
        Some((chunk, (None, receiver)))
    });
    Ok(answer.body(BodyStream::new(Box::pin(chunks))))
}

struct Chunks {
    sender: mpsc::Sender<Result<Bytes>>,
    buffer: Vec<u8>,
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = Bytes::from(std::mem::take(&mut self.buffer));
        let sent = self.sender.blocking_send(Ok(chunk));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}
