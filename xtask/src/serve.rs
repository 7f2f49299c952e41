//! A static file server for `dist/` on 127.0.0.1.
//!
//! Every page that is open in a browser can send requests to it, so requests are bounded in size, number and time, and must
//! name this machine: a name that an attacker's DNS server points at 127.0.0.1 (DNS rebinding) is refused.

mod request;

use anyhow::{Context, Result, anyhow};
use request::{Refusal, Request};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Connections at a time. A browser opens about six.
const MAX_CONNECTIONS: usize = 64;
/// Time for a request to arrive, and for a client to accept each part of an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time for a client to close a connection after an answer that ends it.
const HANGING: Duration = Duration::from_secs(1);
/// Pause after a connection could not be accepted.
const PAUSE: Duration = Duration::from_millis(50);

/// Content security policy of the page: nothing but its own files, and no code but theirs. `vite.config.ts` writes it into
/// index.html for other servers.
const POLICY: &str = include_str!("../../www/policy.txt");

/// Listens on 127.0.0.1; port 0 selects a free one.
pub fn bind(port: u16) -> Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", port))
        .map_err(|error| anyhow!("cannot listen on 127.0.0.1:{port}: {error}"))
}

/// Serves the files of `folder` until the process ends.
pub fn forever(listener: TcpListener, folder: &Path) -> Result<()> {
    let folder =
        folder.canonicalize().with_context(|| format!("cannot open {}", folder.display()))?;
    let live = AtomicUsize::new(0);
    let (live, folder) = (&live, &folder);
    thread::scope(|scope| {
        loop {
            let Ok((stream, _)) = listener.accept() else {
                // A client that gave up, or too many open files: neither concerns the next one.
                thread::sleep(PAUSE);
                continue;
            };
            let Some(place) = Place::take(live) else {
                let _ = answer_briefly(&stream, "503 Service Unavailable", "too many connections");
                continue;
            };
            let converse = move || {
                let _place = place;
                // Fails when the browser has closed the connection.
                let _ = converse(&stream, folder);
            };
            // Without a thread, the connection is closed.
            let _ = thread::Builder::new().spawn_scoped(scope, converse);
        }
    })
}

/// One of [`MAX_CONNECTIONS`].
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(live: &'a AtomicUsize) -> Option<Self> {
        let place = Self(live);
        (live.fetch_add(1, Ordering::SeqCst) < MAX_CONNECTIONS).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Answers the requests of one connection.
fn converse(stream: &TcpStream, folder: &Path) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut received = Vec::new();
    loop {
        let request = match next_request(stream, &mut received)? {
            None => return Ok(()),
            Some(Ok(request)) => request,
            // What follows may be a body, so the connection cannot be used any more.
            Some(Err(Refusal { status, reason })) => {
                answer_briefly(stream, status, reason)?;
                return hang_up(stream);
            }
        };
        answer(stream, &request, folder)?;
        if request.closes {
            return Ok(());
        }
    }
}

/// Takes the next request out of `received`, reading what is missing; none at the end of the connection.
fn next_request(
    mut stream: &TcpStream,
    received: &mut Vec<u8>,
) -> io::Result<Option<std::result::Result<Request, Refusal>>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Request::parse(received) {
            Ok(None) => {}
            Ok(Some((request, length))) => {
                received.drain(..length);
                return Ok(Some(Ok(request)));
            }
            Err(refusal) => return Ok(Some(Err(refusal))),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        stream.set_read_timeout(Some(left))?;
        let mut part = [0; 4096];
        match stream.read(&mut part)? {
            0 => return Ok(None),
            length => received.extend_from_slice(&part[..length]),
        }
    }
}

/// Ends a connection whose client may still be sending: closing it at once would discard the answer.
fn hang_up(mut stream: &TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(HANGING))?;
    let mut ignored = [0; 4096];
    for _ in 0..256 {
        if stream.read(&mut ignored)? == 0 {
            break;
        }
    }
    Ok(())
}

fn answer_briefly(stream: &TcpStream, status: &str, reason: &str) -> io::Result<()> {
    let headers = [("content-type", "text/plain; charset=utf-8"), ("connection", "close")];
    send(stream, status, &headers, format!("{reason}\n").as_bytes(), true)
}

fn answer(stream: &TcpStream, request: &Request, folder: &Path) -> io::Result<()> {
    let Some(file) = file_of(&request.path, folder) else {
        let headers = [("content-type", "text/plain; charset=utf-8")];
        return send(stream, "404 Not Found", &headers, b"no such file\n", request.wants_body);
    };
    let twin = [("br", "br"), ("gzip", "gz")].into_iter().find_map(|(encoding, ending)| {
        let mut twin = file.clone().into_os_string();
        twin.push(format!(".{ending}"));
        let twin = inside(Path::new(&twin), folder)?;
        request.accepts(encoding).then_some((encoding, twin))
    });
    let path = twin.as_ref().map_or(&file, |(_, twin)| twin);
    let body = match fs::read(path) {
        Ok(body) => body,
        Err(error) => {
            let reason = format!("cannot read {}: {error}", path.display());
            return answer_briefly(stream, "500 Internal Server Error", &reason);
        }
    };

    let mut headers = vec![
        ("content-type", content_type(&file)),
        // Revalidate: the next build has other files under the same names.
        ("cache-control", "no-cache"),
        ("vary", "accept-encoding"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", POLICY.trim()),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        // Cross-origin isolation: precise timers, and threads if the page ever uses them.
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-embedder-policy", "require-corp"),
        ("cross-origin-resource-policy", "same-origin"),
    ];
    if let Some((encoding, _)) = &twin {
        headers.push(("content-encoding", encoding));
    }
    send(stream, "200 OK", &headers, &body, request.wants_body)
}

/// Writes an answer, to a HEAD request without its body.
fn send(
    mut stream: &TcpStream,
    status: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    with_body: bool,
) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    let mut bytes = head.into_bytes();
    if with_body {
        bytes.extend_from_slice(body);
    }
    stream.write_all(&bytes)
}

/// The file of a URL; none if it does not exist or is outside `folder`.
fn file_of(url: &str, folder: &Path) -> Option<PathBuf> {
    let path = url.split(['?', '#']).next()?.trim_start_matches('/');
    if !Path::new(path).components().all(|part| matches!(part, Component::Normal(_))) {
        return None;
    }
    let name = if path.is_empty() || path.ends_with('/') { "index.html" } else { "" };
    inside(&folder.join(format!("{path}{name}")), folder)
}

/// The file at `path`, if it is one and no symbolic link leads out of `folder`, which must be canonical.
fn inside(path: &Path, folder: &Path) -> Option<PathBuf> {
    let real = path.canonicalize().ok()?;
    (real.starts_with(folder) && real.is_file()).then(|| path.to_path_buf())
}

fn content_type(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("webmanifest") => "application/manifest+json",
        Some("json" | "map") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests;
