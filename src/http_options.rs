//! How `serve` speaks HTTP: times, TLS, and the web pages that may use it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use clap::{Args, builder::FalseyValueParser};
use server_http::{CorsOrigins, HttpLimits, ImageUrls, Listen, Tls};
use tokio::net::TcpListener;

use crate::size::ByteSize;

const DEFAULT_IMAGE_CACHE: ByteSize = ByteSize(256 << 20);

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct HttpArgs {
    /// Longest time for a whole answer, whatever its client allows; then it ends with 504
    /// [default: none]
    #[arg(long, value_name = "SECONDS", env = "AGENTBASE_REQUEST_TIMEOUT",
        value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) request_timeout: Option<u32>,

    /// Silence after which a stream gets a comment that keeps it alive [default: 15]
    #[arg(long, value_name = "SECONDS", env = "AGENTBASE_STREAM_KEEP_ALIVE",
        value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) stream_keep_alive: Option<u32>,

    /// Certificates to serve HTTPS with, as PEM; a SIGHUP reads them anew
    #[arg(long, value_name = "FILE", env = "AGENTBASE_TLS_CERT")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The key of the first certificate, as PEM
    #[arg(long, value_name = "FILE", env = "AGENTBASE_TLS_KEY")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Web pages that may use the server from a browser, such as https://app.example, or * for
    /// all; may be repeated [default: none]
    #[arg(long, value_name = "ORIGIN", value_delimiter = ',', env = "AGENTBASE_CORS_ORIGIN")]
    pub(crate) cors_origin: Vec<String>,

    /// Fetch images that clients name by address (http, https), from public addresses only; else
    /// they must send them
    #[arg(long, env = "AGENTBASE_ALLOW_IMAGE_URLS", value_parser = FalseyValueParser::new())]
    pub(crate) allow_image_urls: bool,

    /// Memory for what images became, of each model that sees [default: 256MiB]
    #[arg(long, value_name = "SIZE", env = "AGENTBASE_IMAGE_CACHE")]
    pub(crate) image_cache: Option<ByteSize>,
}

impl HttpArgs {
    /// What these leave open is taken from `other`.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            request_timeout: self.request_timeout.or(other.request_timeout),
            stream_keep_alive: self.stream_keep_alive.or(other.stream_keep_alive),
            tls_cert: self.tls_cert.or(other.tls_cert),
            tls_key: self.tls_key.or(other.tls_key),
            cors_origin: match self.cors_origin.is_empty() {
                true => other.cors_origin,
                false => self.cors_origin,
            },
            allow_image_urls: self.allow_image_urls || other.allow_image_urls,
            image_cache: self.image_cache.or(other.image_cache),
        }
    }

    pub(crate) fn set(&self, limits: &mut HttpLimits) {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        limits.request_timeout = self.request_timeout.map(seconds);
        limits.keep_alive = self.stream_keep_alive.map_or(limits.keep_alive, seconds);
    }

    /// What fetches images, if that is allowed.
    pub(crate) fn image_urls(&self) -> Result<Option<Arc<ImageUrls>>> {
        self.allow_image_urls.then(ImageUrls::new).transpose().context("--allow-image-urls")
    }

    /// Bytes of what images became that are kept.
    pub(crate) fn image_cache(&self) -> usize {
        let ByteSize(bytes) = self.image_cache.unwrap_or(DEFAULT_IMAGE_CACHE);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    pub(crate) fn cors(&self) -> Result<CorsOrigins> {
        CorsOrigins::new(&self.cors_origin).context("--cors-origin")
    }

    /// TLS, if it is asked for.
    pub(crate) fn tls(&self) -> Result<Option<Arc<Tls>>> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Ok(Some(Tls::open(certificate, key).context("TLS")?)),
            (None, None) => Ok(None),
            (Some(_), None) => bail!("--tls-cert needs --tls-key"),
            (None, Some(_)) => bail!("--tls-key needs --tls-cert"),
        }
    }
}

/// How the server is reached.
pub(crate) fn scheme(tls: Option<&Arc<Tls>>) -> &'static str {
    if tls.is_some() { "https" } else { "http" }
}

/// Where connections come from; with TLS, its files are read anew at every SIGHUP.
pub(crate) fn listen(listener: TcpListener, tls: Option<Arc<Tls>>) -> Listen {
    let Some(tls) = tls else { return listener.into() };
    #[cfg(unix)]
    tokio::spawn(reload(Arc::clone(&tls)));
    Listen::tls(listener, tls)
}

#[cfg(unix)]
async fn reload(tls: Arc<Tls>) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut hangups) = signal(SignalKind::hangup()) else { return };
    while hangups.recv().await.is_some() {
        match tls.reload() {
            Ok(()) => tracing::info!("the certificate was read anew"),
            Err(error) => tracing::error!(%error, "the certificate in use stays"),
        }
    }
}
