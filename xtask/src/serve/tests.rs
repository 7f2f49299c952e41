use super::*;
use std::net::SocketAddr;

/// A server of a temporary folder, which is removed at the end.
struct Served {
    folder: PathBuf,
    address: SocketAddr,
}

impl Served {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        fs::create_dir_all(folder.join("dist")).unwrap();
        fs::write(folder.join("dist/a.wasm"), "raw").unwrap();
        fs::write(folder.join("dist/a.wasm.br"), "packed").unwrap();
        fs::write(folder.join("dist/index.html"), "the page").unwrap();
        fs::write(folder.join("secret"), "secret").unwrap();
        let listener = bind(0).unwrap();
        let address = listener.local_addr().unwrap();
        let served = folder.join("dist");
        thread::spawn(move || forever(listener, &served));
        Self { folder, address }
    }

    /// Sends bytes and returns everything that is answered until the server closes the connection.
    fn send(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // A connection that is refused may be closed before.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).to_ascii_lowercase()
    }

    fn get(&self, path: &str, more: &str) -> String {
        let lines = format!("GET {path} HTTP/1.1\r\nHost: localhost:80\r\nConnection: close\r\n");
        self.send(format!("{lines}{more}\r\n").as_bytes())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn serves_types_headers_and_compressed_twins() {
    let served = Served::new("types");
    let packed = served.get("/a.wasm", "Accept-Encoding: gzip, br\r\n");
    assert!(packed.ends_with("packed") && packed.contains("content-encoding: br"), "{packed}");
    assert!(packed.contains("content-type: application/wasm"), "{packed}");
    assert!(packed.contains("cross-origin-embedder-policy: require-corp"), "{packed}");
    assert!(packed.contains("content-security-policy: default-src 'none';"), "{packed}");
    assert!(packed.contains("x-frame-options: deny"), "{packed}");
    let raw = served.get("/a.wasm", "Accept-Encoding: gzip, br;q=0\r\n");
    assert!(raw.ends_with("raw") && !raw.contains("content-encoding"), "{raw}");
    assert!(served.get("/", "").ends_with("the page"));
    assert!(served.get("/nothing", "").starts_with("http/1.1 404"));
    let head = served.send(b"HEAD / HTTP/1.1\r\nHost: [::1]\r\nConnection: close\r\n\r\n");
    assert!(head.contains("content-length: 8\r\n") && head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn a_connection_serves_several_requests() {
    let served = Served::new("several");
    let first = "GET /a.wasm HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    let last = "GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n";
    let answers = served.send(format!("{first}{first}{last}").as_bytes());
    assert_eq!(answers.matches("http/1.1 200 ok").count(), 3, "{answers}");
    assert!(answers.ends_with("the page"), "{answers}");
}

#[test]
fn urls_and_links_stay_inside_the_folder() {
    let served = Served::new("inside");
    let missing = |path: &str| {
        let answer = served.get(path, "");
        assert!(answer.starts_with("http/1.1 404") && !answer.contains("secret"), "{answer}");
    };
    for path in ["/../secret", "/a/../../secret", "/%2e%2e/secret", "///etc/passwd", "/."] {
        missing(path);
    }
    #[cfg(unix)]
    {
        let dist = served.folder.join("dist");
        std::os::unix::fs::symlink(served.folder.join("secret"), dist.join("link.txt")).unwrap();
        std::os::unix::fs::symlink(&served.folder, dist.join("up")).unwrap();
        std::os::unix::fs::symlink(served.folder.join("secret"), dist.join("index.html.br"))
            .unwrap();
        for path in ["/link.txt", "/up/secret", "/up/dist/../secret"] {
            missing(path);
        }
        assert!(served.get("/", "Accept-Encoding: br\r\n").ends_with("the page"));
        // A link within the folder is served.
        std::os::unix::fs::symlink(dist.join("a.wasm"), dist.join("b.wasm")).unwrap();
        assert!(served.get("/b.wasm", "").ends_with("raw"));
    }
}

#[test]
fn names_of_other_machines_are_refused() {
    let served = Served::new("hosts");
    let status = |host: &str| {
        let request = format!("GET / HTTP/1.1\r\n{host}Connection: close\r\n\r\n");
        served.send(request.as_bytes())[9..12].to_string()
    };
    for host in
        ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080", "a.localhost", "10.0.0.7"]
    {
        assert_eq!(status(&format!("Host: {host}\r\n")), "200", "{host}");
    }
    for host in ["rebound.example", "localhost.example:80", "127.0.0.1.example", "", "[::1"] {
        assert_eq!(status(&format!("Host: {host}\r\n")), "421", "{host}");
    }
    assert_eq!(status(""), "421");
    assert_eq!(status("Host: localhost\r\nHost: rebound.example\r\n"), "421");
}

#[test]
fn requests_are_bounded() {
    let served = Served::new("bounds");
    let status = |bytes: &[u8]| served.send(bytes).get(9..12).unwrap_or_default().to_string();
    let post = |lines: &str| format!("POST / HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
    assert_eq!(status(post("Content-Length: 999999999999999999\r\n").as_bytes()), "413");
    assert_eq!(status(post("Transfer-Encoding: chunked\r\n").as_bytes()), "413");
    assert_eq!(status(post("").as_bytes()), "405");
    assert_eq!(status(b"\x16\x03\x01\x02\x00"), "400");
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(20_000));
    assert_eq!(status(long.as_bytes()), "431");
    let endless =
        [b"GET / HTTP/1.1\r\nHost: localhost\r\nA: ".as_slice(), &[b'a'; 20_000]].concat();
    assert_eq!(status(&endless), "431");
    let many = "A: b\r\n".repeat(200);
    assert_eq!(status(format!("GET / HTTP/1.1\r\n{many}\r\n").as_bytes()), "431");
    // It still serves.
    assert!(served.get("/", "").ends_with("the page"));
}

#[test]
fn connections_are_counted() {
    let served = Served::new("connections");
    let idle: Vec<TcpStream> =
        (0..MAX_CONNECTIONS).map(|_| TcpStream::connect(served.address).unwrap()).collect();
    // Accepted in order, so all of them have a place when the next one is looked at.
    assert!(served.get("/", "").starts_with("http/1.1 503"));
    drop(idle);
    let again = std::iter::repeat_with(|| served.get("/", "")).take(1000);
    assert!(again.into_iter().any(|answer| answer.ends_with("the page")));
}
