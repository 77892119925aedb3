//! A request, as bytes.

/// A request to be sent with HTTP/1.1 unless it says otherwise.
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) method: String,
    target: String,
    version: &'static str,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    chunked: bool,
    close: bool,
}

impl Request {
    /// `method` and `target` stand in the request line as they are given.
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            version: "HTTP/1.1",
            headers: Vec::new(),
            body: None,
            chunked: false,
            close: true,
        }
    }

    /// `GET target`.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// `POST target` with a body of a media type.
    pub fn post(target: &str, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", target).header("Content-Type", media_type).body(body)
    }

    /// One more header field.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a body, and its length.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The body goes out in chunks, without a length.
    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// The connection stays open for another request.
    pub fn keep(mut self) -> Self {
        self.close = false;
        self
    }

    /// In HTTP/1.0.
    pub fn old(mut self) -> Self {
        self.version = "HTTP/1.0";
        self
    }

    /// The head, as it goes to a server that is called `host`.
    pub fn head(&self, host: &str) -> String {
        let mut head = format!("{} {} {}\r\nHost: {host}\r\n", self.method, self.target, self.version);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        match &self.body {
            Some(_) if self.chunked => head += "Transfer-Encoding: chunked\r\n",
            Some(body) => head += &format!("Content-Length: {}\r\n", body.len()),
            None => {}
        }
        if self.close {
            head += "Connection: close\r\n";
        }
        head + "\r\n"
    }

    /// All of it.
    pub fn bytes(&self, host: &str) -> Vec<u8> {
        let mut bytes = self.head(host).into_bytes();
        match &self.body {
            Some(body) if self.chunked => {
                for piece in body.chunks(4093) {
                    bytes.extend(format!("{:x}\r\n", piece.len()).bytes());
                    bytes.extend(piece);
                    bytes.extend(b"\r\n");
                }
                bytes.extend(b"0\r\n\r\n");
            }
            Some(body) => bytes.extend(body),
            None => {}
        }
        bytes
    }
}
