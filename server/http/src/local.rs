//! Who may use a server that asks for no key: programs and pages of its own machine.
//!
//! Invariant: no web page from elsewhere gets through, neither by a request across origins (its
//! `Origin` says so) nor by a name of its own that leads to loopback (its `Host` says so).

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::ApiError;

/// Answers 403 to hosts and origins other than loopback's. Neither header is a must: programs
/// leave out `Origin`, and browsers always send `Host`.
pub(crate) async fn require_local(request: Request, next: Next) -> Result<Response, ApiError> {
    let is = |value: &HeaderValue, local: fn(&str) -> bool| value.to_str().is_ok_and(local);
    let headers = request.headers();
    let authority = request.uri().authority();
    let is_host_local = headers.get_all(header::HOST).iter().all(|host| is(host, is_local_host))
        && authority.is_none_or(|authority| is_local_host(authority.as_str()));
    if !is_host_local {
        return Err(refused("'Host' must be localhost or a loopback address."));
    }
    if !headers.get_all(header::ORIGIN).iter().all(|origin| is(origin, is_local_origin)) {
        return Err(refused("Pages of other origins may not use it."));
    }
    Ok(next.run(request).await)
}

fn refused(why: &str) -> ApiError {
    let message = format!("This server asks for no key and serves only its own machine: {why}");
    ApiError::refused(StatusCode::FORBIDDEN, "not_local", message)
}

fn is_local_origin(origin: &str) -> bool {
    let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    host.is_some_and(is_local_host)
}

/// Whether a host, perhaps with a port, is this machine by definition and not by a look-up.
fn is_local_host(host: &str) -> bool {
    let has_port = |port: &str| port.is_empty() || port.parse::<u16>().is_ok();
    if let Some((address, rest)) = host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        let is_end = rest.is_empty() || rest.strip_prefix(':').is_some_and(has_port);
        return is_end && address.parse().is_ok_and(|ip: Ipv6Addr| ip.is_loopback());
    }
    let (name, port) = host.split_once(':').unwrap_or((host, ""));
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let is_local = name == "localhost"
        || name.ends_with(".localhost")
        || name.parse().is_ok_and(|ip: Ipv4Addr| ip.is_loopback());
    is_local && has_port(port)
}

#[cfg(test)]
mod tests {
    use super::{is_local_host, is_local_origin};

    #[test]
    fn hosts_and_origins_of_this_machine() {
        let local = [
            "localhost",
            "localhost:8080",
            "LocalHost.",
            "a.localhost:1",
            "127.0.0.1:8080",
            "127.8.9.1",
            "[::1]",
            "[::1]:8080",
        ];
        for host in local {
            assert!(is_local_host(host), "{host}");
            assert!(is_local_origin(&format!("http://{host}")), "{host}");
            assert!(is_local_origin(&format!("https://{host}")), "{host}");
        }
        let other = [
            "",
            "example.com",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "notlocalhost",
            "127.0.0.1@example.com",
            "localhost:80@example.com",
            "128.0.0.1",
            "0.0.0.0",
            "[::]",
            "[::2]:80",
            "::1",
            "[::1]x",
            "192.168.0.1:8080",
            "localhost/",
            "127.1",
        ];
        for host in other {
            assert!(!is_local_host(host), "{host}");
            assert!(!is_local_origin(&format!("http://{host}")), "{host}");
        }
        for origin in ["null", "file://", "ftp://localhost", "localhost", "chrome-extension://x"] {
            assert!(!is_local_origin(origin), "{origin}");
        }
    }
}
