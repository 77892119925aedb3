//! A client that sends exactly the bytes a test wants to send, and reads what comes back.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// One HTTP/1 connection.
pub(super) struct Client {
    stream: DuplexStream,
    unread: Vec<u8>,
}

/// One response.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    /// The values of a header, joined as if they were one.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        let values: Vec<_> = self
            .head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }
}

impl Client {
    pub(super) fn new(stream: DuplexStream) -> Self {
        Self { stream, unread: Vec::new() }
    }

    /// Sends bytes as they are; a host that has closed the connection does not take them, which is no error here.
    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Says that nothing more will be sent.
    pub(super) async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// GET of a path.
    pub(super) async fn get(&mut self, path: &str) -> Answer {
        self.request(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await
    }

    /// POST to a path.
    pub(super) async fn post(&mut self, path: &str, headers: &str, body: impl AsRef<[u8]>) -> Answer {
        let length = body.as_ref().len();
        self.send(format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n{headers}\r\n"))
            .await;
        self.send(body).await;
        self.answer("POST").await
    }

    /// Sends a whole request and reads its response.
    pub(super) async fn request(&mut self, text: &str) -> Answer {
        self.send(text).await;
        self.answer(text.split(' ').next().unwrap_or_default()).await
    }

    /// Reads the response to a request of this method.
    pub(super) async fn answer(&mut self, method: &str) -> Answer {
        self.try_answer(method).await.expect("a response")
    }

    /// Reads a response; `None` when the connection was closed before it, or cut off before its end.
    pub(super) async fn try_answer(&mut self, method: &str) -> Option<Answer> {
        let head = self.head().await?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let mut answer = Answer { status, head, body: String::new() };
        if method == "HEAD" || status < 200 || status == 204 {
            return Some(answer);
        }
        let body = match answer.header("content-length") {
            Some(length) => self.exactly(length.parse().ok()?).await?,
            None if answer.header("transfer-encoding").is_some() => self.chunks().await?,
            None => Vec::new(),
        };
        answer.body = String::from_utf8(body).unwrap();
        Some(answer)
    }

    /// Reads the head of a response; `None` when the connection was closed before it.
    pub(super) async fn head(&mut self) -> Option<String> {
        Some(String::from_utf8(self.until(b"\r\n\r\n").await?).unwrap())
    }

    async fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            body.extend(chunk);
        }
        Some(body)
    }

    /// One chunk of a streamed body; the inner `None` is the last.
    pub(super) async fn chunk(&mut self) -> Option<Option<Vec<u8>>> {
        let size = String::from_utf8(self.until(b"\r\n").await?).unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        let data = self.exactly(size + 2).await?;
        Some((size > 0).then(|| data[..size].to_vec()))
    }

    /// Whether the host closes the connection without sending more.
    pub(super) async fn is_closed(&mut self) -> bool {
        self.unread.is_empty() && !self.fill().await
    }

    async fn fill(&mut self) -> bool {
        let read = self.stream.read_buf(&mut self.unread).await;
        read.is_ok_and(|read| read > 0)
    }

    async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.unread.windows(end.len()).position(|window| window == end) {
                return self.exactly(at + end.len()).await;
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    async fn exactly(&mut self, size: usize) -> Option<Vec<u8>> {
        while self.unread.len() < size {
            if !self.fill().await {
                return None;
            }
        }
        Some(self.unread.drain(..size).collect())
    }
}
