//! The download of one file, which goes on where it was cut.
//!
//! hf-hub 1.0 does not do this (a cut download begins anew), hence these few lines around HTTP
//! ranges (RFC 9110 §14). Invariant: the part on disk is always a prefix of the file, and its
//! hasher has seen exactly the bytes on disk; nothing past the announced size is ever written.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};

use reqwest::header::CONTENT_RANGE;
use reqwest::{Response, StatusCode};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use super::HubSource;
use super::client::{Failure, HubClient, RemoteFile, may_pass};
use crate::error::{HubError, RegistryError};
use crate::layout::check_size;
use crate::limits::{COPY_BUFFER_BYTES, MAX_IDLE_REQUESTS, MAX_REQUESTS_PER_FILE};
use crate::manifest::hex;
use crate::progress::Progress;

/// A file of a repository at a commit.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) source: &'a HubSource,
    pub(crate) commit: &'a str,
    pub(crate) name: &'a str,
    pub(crate) remote: RemoteFile,
}

/// Downloads a file to `to`, going on with what is there, and checks it against what the hub
/// announced. Returns its size and SHA-256.
pub(crate) async fn download(
    client: &HubClient,
    wanted: &Wanted<'_>,
    to: &Path,
    progress: &dyn Progress,
) -> Result<(u64, String), RegistryError> {
    let mut part = Part::open(to, wanted.remote.size).await?;
    part.announce(wanted.name, progress);
    let (mut idle, mut reason) = (0, "the hub sent too little".to_owned());
    for _ in 0..MAX_REQUESTS_PER_FILE {
        if part.is_whole() {
            progress.finish();
            return part.finish(wanted).await;
        }
        if idle == MAX_IDLE_REQUESTS {
            break;
        }
        client.pause(idle).await;
        let before = part.len;
        match request(client, wanted, &mut part, progress).await? {
            Ok(()) => {}
            Err(Failure::Final(error)) => return Err(error.into()),
            Err(Failure::MayPass(failure)) => reason = failure,
        }
        idle = if part.len > before { 0 } else { idle + 1 };
    }
    part.sync().await?;
    let total = part.total.map_or("an unknown number".to_owned(), |total| total.to_string());
    let reason = format!(
        "{reason}; {} of {total} bytes have arrived and are kept, pull again to go on from there",
        part.len
    );
    Err(HubError::Cut { what: wanted.name.to_owned(), reason }.into())
}

/// One request, and as much of its body as comes. The outer error is that of our own disk.
async fn request(
    client: &HubClient,
    wanted: &Wanted<'_>,
    part: &mut Part,
    progress: &dyn Progress,
) -> Result<Result<(), Failure>, RegistryError> {
    let at = (wanted.source, wanted.commit);
    let mut response = match client.file(at, wanted.name, part.len).await {
        Ok(response) => response,
        Err(failure) => return Ok(Err(failure)),
    };
    match response.status() {
        StatusCode::OK if part.len > 0 => {
            // This hub knows no ranges: all of it comes again.
            part.restart().await?;
            part.announce(wanted.name, progress);
        }
        StatusCode::OK => {}
        StatusCode::PARTIAL_CONTENT if part.len > 0 && continues(&response, part) => {}
        status => {
            let at = part.len;
            part.restart().await?;
            let reason = format!("asked for the bytes from {at} on, the hub answered {status}");
            return Ok(Err(Failure::Final(answer(wanted, reason))));
        }
    }
    if let Err(reason) = agree_on_total(wanted.name, &response, part) {
        return Ok(Err(Failure::Final(answer(wanted, reason))));
    }
    loop {
        let bytes = match response.chunk().await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => break,
            Err(error) => return Ok(Err(may_pass(&error))),
        };
        if part.total.is_some_and(|total| part.len + bytes.len() as u64 > total) {
            let reason = "more bytes came than the hub announced".to_owned();
            part.restart().await?;
            return Ok(Err(Failure::Final(answer(wanted, reason))));
        }
        part.append(&bytes).await?;
        progress.advance(bytes.len() as u64);
    }
    // A body without a length ends where it ends.
    part.total.get_or_insert(part.len);
    Ok(Ok(()))
}

/// Holds the length of the response against the announced size, or takes it for that.
fn agree_on_total(name: &str, response: &Response, part: &mut Part) -> Result<(), String> {
    let total = response.content_length().map(|rest| part.len.saturating_add(rest));
    match (part.total, total) {
        (Some(announced), Some(total)) if announced != total => {
            return Err(format!("the hub announced {announced} bytes, but sends {total}"));
        }
        (None, total) => part.total = total,
        _ => {}
    }
    check_size(name, part.total)
}

/// Whether the response is the rest of the file from where the part ends.
fn continues(response: &Response, part: &Part) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let Some((range, total)) = range
        .and_then(|range| range.strip_prefix("bytes "))
        .and_then(|range| range.split_once('/'))
    else {
        return false;
    };
    response.status() == StatusCode::PARTIAL_CONTENT
        && range.split_once('-').is_some_and(|(from, _)| from.parse() == Ok(part.len))
        && part.total.is_none_or(|known| total == "*" || total.parse() == Ok(known))
}

fn answer(wanted: &Wanted<'_>, reason: String) -> HubError {
    HubError::Answer { what: wanted.name.to_owned(), reason }
}

/// What has arrived of a file.
struct Part {
    path: PathBuf,
    file: File,
    len: u64,
    total: Option<u64>,
    hasher: Sha256,
}

impl Part {
    /// Opens what an earlier try left, or begins.
    async fn open(path: &Path, total: Option<u64>) -> Result<Part, RegistryError> {
        let failed = RegistryError::io("cannot write", path);
        let options = File::options().create(true).truncate(false).read(true).write(true).clone();
        let file = options.open(path).await.map_err(failed)?;
        let mut part = Part { path: path.to_owned(), file, len: 0, total, hasher: Sha256::new() };
        let mut buffer = vec![0; COPY_BUFFER_BYTES];
        loop {
            let read = part.file.read(&mut buffer).await;
            let read = read.map_err(RegistryError::io("cannot read", path))?;
            if read == 0 {
                break;
            }
            part.hasher.update(buffer.get(..read).unwrap_or_default());
            part.len += read as u64;
        }
        // Without a total there is no telling whether it is whole, and a longer one is no part.
        if total.is_none_or(|total| part.len > total) {
            part.restart().await?;
        }
        Ok(part)
    }

    fn is_whole(&self) -> bool {
        self.total == Some(self.len)
    }

    fn announce(&self, name: &str, progress: &dyn Progress) {
        progress.start(name, self.total);
        progress.advance(self.len);
    }

    async fn append(&mut self, bytes: &[u8]) -> Result<(), RegistryError> {
        let failed = RegistryError::io("cannot write", &self.path);
        self.file.write_all(bytes).await.map_err(failed)?;
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    async fn restart(&mut self) -> Result<(), RegistryError> {
        let failed = |e| RegistryError::io("cannot write", &self.path)(e);
        self.file.seek(SeekFrom::Start(0)).await.map_err(failed)?;
        self.file.set_len(0).await.map_err(failed)?;
        (self.len, self.hasher) = (0, Sha256::new());
        Ok(())
    }

    async fn sync(&mut self) -> Result<(), RegistryError> {
        let failed = |e| RegistryError::io("cannot write", &self.path)(e);
        self.file.flush().await.map_err(failed)?;
        self.file.sync_all().await.map_err(failed)
    }

    async fn finish(mut self, wanted: &Wanted<'_>) -> Result<(u64, String), RegistryError> {
        check_size(wanted.name, Some(self.len)).map_err(|reason| answer(wanted, reason))?;
        self.sync().await?;
        let actual = hex(&self.hasher.clone().finalize());
        match &wanted.remote.sha256 {
            Some(expected) if *expected != actual => {
                self.restart().await?;
                let (file, expected) = (wanted.name.to_owned(), expected.clone());
                Err(HubError::WrongHash { file, expected, actual }.into())
            }
            _ => Ok((self.len, actual)),
        }
    }
}
