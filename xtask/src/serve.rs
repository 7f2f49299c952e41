//! A static file server for `dist/` on 127.0.0.1.

use anyhow::{Result, anyhow};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use tiny_http::{Header, Method, Request, Response, Server};

/// Listens on 127.0.0.1; port 0 selects a free one.
pub fn bind(port: u16) -> Result<Server> {
    Server::http(("127.0.0.1", port))
        .map_err(|error| anyhow!("cannot listen on 127.0.0.1:{port}: {error}"))
}

/// Serves the files of `folder` until the process ends.
pub fn forever(server: Server, folder: &Path) -> Result<()> {
    let server = Arc::new(server);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for request in server.incoming_requests() {
                    // Fails when the browser has closed the connection.
                    let _ = answer(request, folder);
                }
            });
        }
    });
    Err(anyhow!("the server has stopped"))
}

fn answer(request: Request, folder: &Path) -> std::io::Result<()> {
    if !matches!(request.method(), Method::Get | Method::Head) {
        return request
            .respond(Response::from_string("only GET is served\n").with_status_code(405));
    }
    let Some(file) = file_of(request.url(), folder).filter(|file| file.is_file()) else {
        return request.respond(Response::from_string("no such file\n").with_status_code(404));
    };
    let accepted = accepted_encodings(&request);
    let twin = [("br", "br"), ("gzip", "gz")].into_iter().find_map(|(encoding, ending)| {
        let mut twin = file.clone().into_os_string();
        twin.push(format!(".{ending}"));
        let usable = accepted.iter().any(|name| name == encoding) && Path::new(&twin).is_file();
        usable.then(|| (encoding, PathBuf::from(twin)))
    });
    let path = twin.as_ref().map_or(&file, |(_, twin)| twin);
    let body = match fs::read(path) {
        Ok(body) => body,
        Err(error) => {
            let message = format!("cannot read {}: {error}\n", path.display());
            return request.respond(Response::from_string(message).with_status_code(500));
        }
    };

    let mut headers = vec![
        ("content-type", content_type(&file)),
        // Revalidate: the next build has other files under the same names.
        ("cache-control", "no-cache"),
        ("vary", "accept-encoding"),
        ("x-content-type-options", "nosniff"),
        // Cross-origin isolation: precise timers, and threads if the page ever uses them.
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-embedder-policy", "require-corp"),
        ("cross-origin-resource-policy", "same-origin"),
    ];
    if let Some((encoding, _)) = &twin {
        headers.push(("content-encoding", encoding));
    }
    let mut response = Response::from_data(body);
    for (name, value) in headers {
        if let Ok(header) = Header::from_bytes(name, value) {
            response.add_header(header);
        }
    }
    request.respond(response)
}

/// The file of a URL; none if it would be outside `folder`.
fn file_of(url: &str, folder: &Path) -> Option<PathBuf> {
    let path = url.split(['?', '#']).next()?.trim_start_matches('/');
    let inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    let path = if path.is_empty() || path.ends_with('/') {
        format!("{path}index.html")
    } else {
        path.into()
    };
    inside.then(|| folder.join(path))
}

/// The names in `accept-encoding`, without those refused by `q=0`.
fn accepted_encodings(request: &Request) -> Vec<String> {
    let header = request.headers().iter().find(|header| header.field.equiv("accept-encoding"));
    let value = header.map_or("", |header| header.value.as_str());
    value
        .split(',')
        .filter(|item| !item.contains("q=0") || item.contains("q=0."))
        .filter_map(|item| item.split(';').next())
        .map(|name| name.trim().to_ascii_lowercase())
        .collect()
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
mod tests {
    use super::*;

    #[test]
    fn urls_stay_inside_the_folder() {
        let file = |url| file_of(url, Path::new("dist"));
        assert_eq!(file("/").unwrap(), Path::new("dist/index.html"));
        assert_eq!(file("/assets/a.js?v=1").unwrap(), Path::new("dist/assets/a.js"));
        assert_eq!(file("/../Cargo.toml"), None);
        assert_eq!(file("/assets/../../Cargo.toml"), None);
        assert_eq!(file("///etc/passwd").unwrap(), Path::new("dist/etc/passwd"));
    }

    #[test]
    fn serves_types_headers_and_compressed_twins() {
        use std::io::{Read, Write};
        let folder = std::env::temp_dir().join(format!("xtask-serve-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("a.wasm"), "raw").unwrap();
        fs::write(folder.join("a.wasm.br"), "packed").unwrap();
        let server = bind(0).unwrap();
        let address = server.server_addr().to_ip().unwrap();
        let served = folder.clone();
        std::thread::spawn(move || forever(server, &served));
        let get = |path: &str, accept: &str| {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n").unwrap();
            write!(stream, "Accept-Encoding: {accept}\r\n\r\n").unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text.to_ascii_lowercase()
        };
        let packed = get("/a.wasm", "gzip, br");
        assert!(packed.ends_with("packed") && packed.contains("content-encoding: br"), "{packed}");
        assert!(packed.contains("content-type: application/wasm"), "{packed}");
        assert!(packed.contains("cross-origin-embedder-policy: require-corp"), "{packed}");
        let raw = get("/a.wasm", "gzip, br;q=0");
        assert!(raw.ends_with("raw") && !raw.contains("content-encoding"), "{raw}");
        assert!(get("/nothing", "").starts_with("http/1.1 404"));
        fs::remove_dir_all(folder).unwrap();
    }
}
