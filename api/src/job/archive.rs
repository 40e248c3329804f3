//! One archive of a job's outputs, streamed: of a million outputs too, no more than a page of names
//! and a piece of one output are in memory. Its length and its bytes are known before the first is
//! sent, so that a download that broke off goes on where it was.

use actix_web::http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_RANGE, ETAG, HeaderMap, IF_RANGE, RANGE,
};
use actix_web::{HttpRequest, HttpResponse, get, web};
use bytes::Bytes;
use futures_util::StreamExt;
use scheduler::job::archive as tar;
use scheduler::job::archive::OutputRow;
use store::{JobId, PartyId};
use tokio::sync::mpsc;
use vehicle::protocol::Digest;

use crate::app::App;
use crate::auth::Customer;
use crate::problem::{Code, Problem, Result};

/// Outputs that are looked up at a time.
const PAGE: i64 = 1_000;

/// Which outputs: of the first `upto` tasks to complete. They never change.
#[derive(Clone)]
struct Contents {
    app: App,
    customer: PartyId,
    job: JobId,
    upto: i32,
}

impl Contents {
    async fn page(&self, from: i32) -> Result<Vec<OutputRow>> {
        let Self { customer, job, upto, .. } = *self;
        let page = move |tx: &mut store::Tx<'_>| {
            Ok(tar::load_outputs(tx, customer, job, from..i32::MAX, upto, PAGE)?)
        };
        self.app.read(page).await
    }

    /// Bytes of the manifest and of the whole archive.
    async fn measure(&self) -> Result<(u64, u64)> {
        let mut manifest = (tar::manifest_head(self.job).len() + tar::MANIFEST_TAIL.len()) as u64;
        let (mut entries, mut next, mut first) = (0, 0, true);
        loop {
            let page = self.page(next).await?;
            for row in &page {
                manifest += tar::manifest_line(row, first).len() as u64;
                entries += tar::entry_len(row.size.unsigned_abs());
                first = false;
            }
            let Some(last) = page.last() else { break };
            next = last.number + 1;
        }
        Ok((manifest, tar::entry_len(manifest) + entries + tar::END))
    }

    async fn write(&self, manifest: u64, out: &mut Out) -> Result<()> {
        out.put(Bytes::copy_from_slice(&tar::header("manifest.json", manifest))).await?;
        out.put(tar::manifest_head(self.job).into()).await?;
        let (mut next, mut first) = (0, true);
        loop {
            let page = self.page(next).await?;
            let mut lines = String::new();
            for row in &page {
                lines.push_str(&tar::manifest_line(row, first));
                first = false;
            }
            out.put(lines.into()).await?;
            let Some(last) = page.last() else { break };
            next = last.number + 1;
        }
        out.put(Bytes::from_static(tar::MANIFEST_TAIL.as_bytes())).await?;
        out.zeros(tar::padding(manifest)).await?;
        next = 0;
        loop {
            let page = self.page(next).await?;
            for row in &page {
                self.entry(row, out).await?;
            }
            let Some(last) = page.last() else { break };
            next = last.number + 1;
        }
        out.zeros(tar::END).await
    }

    async fn entry(&self, row: &OutputRow, out: &mut Out) -> Result<()> {
        let size = row.size.unsigned_abs();
        if out.skips(tar::entry_len(size)) {
            return Ok(());
        }
        out.put(Bytes::copy_from_slice(&tar::header(&tar::path(row.number), size))).await?;
        let digest = Digest(row.digest.clone().unwrap_or_default());
        let mut pieces = self.app.blobs.stream(&digest).await?;
        let mut sent = 0;
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            sent += piece.len() as u64;
            out.put(piece).await?;
        }
        if sent != size {
            return Err(Problem::internal(format!("{} has {sent} bytes, not {size}", digest.0)));
        }
        out.zeros(tar::padding(size)).await
    }
}

/// Where bytes go, less those that the client has.
struct Out {
    pieces: mpsc::Sender<std::io::Result<Bytes>>,
    skip: u64,
}

impl Out {
    /// Whether the client has all of the next `len` bytes; then they are done.
    fn skips(&mut self, len: u64) -> bool {
        let all = self.skip >= len;
        if all {
            self.skip -= len;
        }
        all
    }

    async fn put(&mut self, mut bytes: Bytes) -> Result<()> {
        let has = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
        self.skip -= has as u64;
        let left = bytes.split_off(has);
        if left.is_empty() {
            return Ok(());
        }
        let sent = self.pieces.send(Ok(left)).await;
        sent.map_err(|_| Problem::new(Code::Unavailable).detail("The client went away."))
    }

    async fn zeros(&mut self, count: u64) -> Result<()> {
        self.put(vec![0; usize::try_from(count).unwrap_or_default()].into()).await
    }
}

/// From which byte on the client wants it: of `bytes=N-` alone, and only of what it had before.
fn wanted_from(headers: &HeaderMap, etag: &str) -> u64 {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if text(IF_RANGE).is_some_and(|held| held != etag) {
        return 0;
    }
    let from = text(RANGE).and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
    from.and_then(|from| from.parse().ok()).unwrap_or(0)
}

/// Download a job's outputs
///
/// A tar: `manifest.json`, then each output by the number of its task. Of a job that still runs it
/// holds what has completed; of one that has ended its bytes are always the same. Broken off, ask
/// for the rest with `Range: bytes=N-` and the `ETag` in `If-Range`.
#[utoipa::path(operation_id = "download_job", tag = "jobs", security(("bearer" = [])),
    params(
        ("id" = String, Path, description = "The job."),
        ("Range" = Option<String>, Header, description = "`bytes=N-`: all but the first N bytes."),
        ("If-Range" = Option<String>, Header, description = "The `ETag` of those N bytes."),
    ),
    responses(
        (status = 200, description = "The archive.", body = Vec<u8>,
            content_type = "application/x-tar"),
        (status = 206, description = "The rest of it.", body = Vec<u8>,
            content_type = "application/x-tar"),
        (status = 416, description = "`range_not_satisfiable`: it has no such byte.",
            body = crate::problem::ProblemBody, content_type = "application/problem+json"),
    ))]
#[get("/v1/jobs/{id}/archive")]
pub async fn archive(
    app: App,
    customer: Customer,
    id: web::Path<JobId>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let (customer, job) = (customer.party, *id);
    let view = app.read(move |tx| Ok(scheduler::job::load(tx, customer, job)?)).await?;
    let contents = Contents { app, customer, job, upto: view.row.tasks_completed };
    let (manifest, total) = contents.measure().await?;
    let etag = format!("\"{job}-{}\"", contents.upto);
    let from = wanted_from(request.headers(), &etag);
    if from >= total {
        return Err(Problem::new(Code::RangeNotSatisfiable));
    }
    // A few pieces ahead of the client, no more.
    let (pieces, taken) = mpsc::channel(2);
    actix_web::rt::spawn(async move {
        let mut out = Out { pieces: pieces.clone(), skip: from };
        if let Err(problem) = contents.write(manifest, &mut out).await {
            // Too late for another status: the body ends short of its length.
            let _gone = pieces.send(Err(std::io::Error::other(problem.to_string()))).await;
        }
    });
    let mut response = match from {
        0 => HttpResponse::Ok(),
        _ => HttpResponse::PartialContent(),
    };
    if from > 0 {
        response.insert_header((CONTENT_RANGE, format!("bytes {from}-{}/{total}", total - 1)));
    }
    let body = futures_util::stream::unfold(taken, |mut taken| async move {
        taken.recv().await.map(|piece| (piece, taken))
    });
    Ok(response
        .content_type("application/x-tar")
        .insert_header((ACCEPT_RANGES, "bytes"))
        .insert_header((ETAG, etag))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{job}.tar\"")))
        .no_chunking(total - from)
        .streaming(body))
}
