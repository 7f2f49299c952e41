//! Requests of HTTP/1.1, as far as a server of files needs them.

use std::net::IpAddr;

/// Maximum bytes of a request line with its headers. A browser sends about one thousand.
const MAX_HEAD: usize = 16 << 10;
/// Maximum number of headers.
const MAX_HEADERS: usize = 100;

/// A request for a file.
#[derive(Debug)]
pub struct Request {
    /// Path with its query.
    pub path: String,
    /// False for HEAD.
    pub wants_body: bool,
    /// True if the connection ends after the answer.
    pub closes: bool,
    /// Names in `accept-encoding`, without those refused by `q=0`.
    encodings: Vec<String>,
}

/// The answer to a request that is refused.
#[derive(Debug)]
pub struct Refusal {
    /// Code and name of the status.
    pub status: &'static str,
    /// The problem.
    pub reason: &'static str,
}

impl Request {
    /// Parses the request at the start of `received`. Returns it with its length; none if it is not complete.
    ///
    /// # Errors
    /// It is malformed, too long, has a body, asks for anything but a file, or names another machine.
    pub fn parse(received: &[u8]) -> Result<Option<(Self, usize)>, Refusal> {
        let refused = |status, reason| Err(Refusal { status, reason });
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut headers);
        let length = match parsed.parse(received) {
            Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => length,
            Ok(httparse::Status::Partial) if received.len() < MAX_HEAD => return Ok(None),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => {
                return refused("431 Request Header Fields Too Large", "the request is too long");
            }
            Err(_) => return refused("400 Bad Request", "the request is malformed"),
        };
        let all = |name: &'static str| {
            let named =
                parsed.headers.iter().filter(move |one| one.name.eq_ignore_ascii_case(name));
            named.map(|one| String::from_utf8_lossy(one.value).to_ascii_lowercase())
        };
        let hosts: Vec<String> = all("host").collect();
        if !matches!(&hosts[..], [host] if is_local(host)) {
            return refused(
                "421 Misdirected Request",
                "this server answers to localhost and to IP addresses only",
            );
        }
        let has_body = all("content-length").any(|length| length.trim() != "0")
            || all("transfer-encoding").next().is_some();
        if has_body {
            return refused("413 Content Too Large", "requests have no body here");
        }
        let wants_body = match parsed.method {
            Some("GET") => true,
            Some("HEAD") => false,
            _ => return refused("405 Method Not Allowed", "only GET is served"),
        };
        let closes = all("connection").any(|value| value.contains("close"));
        let accepted = all("accept-encoding").collect::<Vec<_>>().join(",");
        let request = Self {
            path: parsed.path.unwrap_or_default().into(),
            wants_body,
            closes: closes || parsed.version == Some(0),
            encodings: encodings(&accepted),
        };
        Ok(Some((request, length)))
    }

    /// Returns true if the answer may be encoded so.
    pub fn accepts(&self, encoding: &str) -> bool {
        self.encodings.iter().any(|name| name == encoding)
    }
}

/// The names in `accept-encoding`, without those refused by `q=0`.
fn encodings(value: &str) -> Vec<String> {
    value
        .split(',')
        .filter(|item| !item.contains("q=0") || item.contains("q=0."))
        .filter_map(|item| item.split(';').next())
        .map(|name| name.trim().to_string())
        .collect()
}

/// Returns true for names of this machine and for IP addresses, which no DNS server can redirect.
fn is_local(host: &str) -> bool {
    let host = host.trim();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost") || address.parse::<IpAddr>().is_ok()
}
