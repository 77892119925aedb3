//! What a function is given, and what becomes of what it gives back.

mod support;

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use http::Method;
use testkit::{Client, HostProcess};

/// The handler does what the path says.
const SOURCE: &str = r#"
package kubeless

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sort"
	"strings"

	"github.com/kubeless/kubeless/pkg/functions"
)

func Handler(event functions.Event, context functions.Context) (string, error) {
	request, response := event.Extensions.Request, event.Extensions.Response
	switch request.URL.Path {
	case "/event":
		return fmt.Sprintf("%s|%s|%s|%s|%s", event.Data, event.EventID, event.EventType, event.EventTime,
			event.EventNamespace), nil
	case "/context":
		return fmt.Sprintf("%s|%s|%s|%s", context.FunctionName, context.Timeout, context.Runtime,
			context.MemoryLimit), nil
	case "/request":
		var headers []string
		for name, values := range request.Header {
			headers = append(headers, fmt.Sprintf("%s=%q", name, values))
		}
		sort.Strings(headers)
		body, err := io.ReadAll(request.Body)
		return fmt.Sprintf("%s %s %s host=%s length=%d body=%q query=%q same=%v\n%s", request.Method,
			request.RequestURI, request.Proto, request.Host, request.ContentLength, body,
			request.URL.Query()["q"], string(body) == event.Data, strings.Join(headers, "\n")), err
	case "/form":
		return request.FormValue("b"), nil
	case "/upload":
		file, header, err := request.FormFile("file")
		if err != nil {
			return "", err
		}
		defer file.Close()
		content, err := io.ReadAll(file)
		return fmt.Sprintf("%s: %d bytes", header.Filename, len(content)), err
	case "/echo":
		response.Header().Set("Content-Type", request.Header.Get("Content-Type"))
		return event.Data, nil
	case "/status":
		response.Header().Set("Content-Type", "application/json")
		response.Header().Add("Set-Cookie", "a=1")
		response.Header().Add("Set-Cookie", "b=2")
		response.WriteHeader(http.StatusTeapot)
		return "{}", nil
	case "/write":
		fmt.Fprint(response, "written,")
		return "returned", nil
	case "/empty":
		response.WriteHeader(http.StatusNoContent)
	case "/split":
		response.Header().Set("X-Bad", "a\r\nSet-Cookie: stolen=1")
	case "/odd-status":
		response.WriteHeader(799)
	case "/error":
		fmt.Fprint(response, "this does not go out")
		return "nor this", errors.New("a secret")
	case "/panic":
		panic("a secret")
	case "/goexit":
		runtime.Goexit()
	case "/cors":
		response.Header().Set("Access-Control-Allow-Origin", "https://example.org")
	}
	return "", nil
}
"#;

fn mount() -> &'static Path {
    static MOUNT: OnceLock<PathBuf> = OnceLock::new();
    MOUNT.get_or_init(|| support::built("calls", SOURCE))
}

fn start() -> (HostProcess, Client) {
    let host = support::host(mount(), "Handler").start();
    let client = host.client();
    (host, client)
}

#[test]
fn the_event_has_the_body_and_the_fields_of_the_headers() {
    let (_host, client) = start();
    let call = client.request(Method::POST, "/event").body("data");
    let call = call.header("event-id", "1").header("Event-Type", "t").header("EVENT-TIME", "now");
    assert_eq!(call.header("event-namespace", "n").send().text(), "data|1|t|now|n");
    assert_eq!(client.get("/event").text(), "||||");
}

#[test]
fn the_context_is_that_of_the_deployment() {
    let launch = support::host(mount(), "Handler").env("FUNC_TIMEOUT", "0.5").env("FUNC_RUNTIME", "go1.26");
    let host = launch.env("FUNC_MEMORY_LIMIT", "128Mi").start();
    assert_eq!(host.client().get("/context").text(), "Handler|0.5|go1.26|128Mi");
    let (_host, client) = start();
    assert_eq!(client.get("/context").text(), "Handler|180||");
}

#[test]
fn the_request_is_one_of_net_http() {
    let (host, client) = start();
    let call = client.request(Method::PUT, "/request?q=1&q=%20a").body("body");
    let call = call
        .header("x-many", "1")
        .header("x-many", "2")
        .header("x-bytes", b"\xff")
        .header("traceparent", "bad");
    let text = call.send().text();
    let mut lines = text.lines();
    let address = host.address();
    assert_eq!(
        lines.next().unwrap(),
        format!(
            "PUT /request?q=1&q=%20a HTTP/1.1 host={address} length=4 body=\"body\" query=[\"1\" \" a\"] same=true"
        )
    );
    let headers: Vec<&str> = lines.collect();
    assert!(headers.contains(&r#"X-Many=["1" "2"]"#), "{headers:?}");
    assert!(headers.contains(&r#"X-Bytes=["\xff"]"#), "{headers:?}");
    assert!(!headers.iter().any(|header| header.starts_with("Host=")), "{headers:?}");
}

#[test]
fn every_method_reaches_the_function() {
    let (_host, client) = start();
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        let answer = client.request(method.parse().unwrap(), "/request").send();
        assert!(answer.text().starts_with(&format!("{method} /request ")), "{method}: {}", answer.text());
    }
    let answer = client.request(Method::HEAD, "/write").send();
    assert_eq!((answer.status, answer.text().as_str()), (200, ""));
}

#[test]
fn forms_and_uploads_are_read_as_usual() {
    let (_host, client) = start();
    let form = "application/x-www-form-urlencoded";
    assert_eq!(client.post("/form", form, "a=1&b=2").text(), "2");
    let file = vec![0xfe; 300_000];
    let mut body =
        b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\r\n".to_vec();
    body.extend(&file);
    body.extend(b"\r\n--x--\r\n");
    assert_eq!(client.post("/upload", "multipart/form-data; boundary=x", body).text(), "a.bin: 300000 bytes");
}

#[test]
fn bodies_pass_byte_for_byte() {
    let (_host, client) = start();
    let bytes: Vec<u8> = (0..=255u8).cycle().take(1 << 20).collect();
    let answer = client.post("/echo", "application/octet-stream", bytes.clone());
    assert!(answer.body == bytes, "{} bytes came back", answer.body.len());
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    // JSON is not parsed for a Go function, so what is not JSON is no error either.
    assert_eq!(client.post("/echo", "application/json", "{not json").text(), "{not json");
    // One byte more than the limit never gets to the function.
    assert_eq!(client.post("/echo", "text/plain", vec![b'x'; (1 << 20) + 1]).status, 413);
}

#[test]
fn status_headers_and_body_are_what_the_function_says() {
    let (_host, client) = start();
    let answer = client.get("/status");
    assert_eq!((answer.status, answer.text().as_str()), (418, "{}"));
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(answer.header("access-control-allow-origin"), "*");

    let answer = client.get("/write");
    assert_eq!((answer.status, answer.text().as_str()), (200, "written,returned"));
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(answer.header("content-length"), "16");

    let answer = client.get("/empty");
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!(client.get("/cors").header("access-control-allow-origin"), "https://example.org");
}

#[test]
fn a_reply_that_cannot_be_sent_is_an_error_and_not_a_split_response() {
    let (mut host, client) = start();
    let answer = client.get("/split");
    assert_eq!((answer.status, answer.all("set-cookie").len()), (500, 0));
    host.wait_for_line("header x-bad has the value");
    assert_eq!(client.get("/odd-status").status, 500);
    host.wait_for_line("status 799 is not between 200 and 599");
}

#[test]
fn errors_are_told_to_the_log_and_not_to_the_client() {
    let (mut host, client) = start();
    let answer = client.get("/error");
    assert_eq!(answer.status, 500);
    assert!(!answer.text().contains("secret") && !answer.text().contains("go out"), "{}", answer.text());
    host.wait_for_line("*errors.errorString");
    host.wait_for_line("a secret");

    assert_eq!(client.get("/panic").status, 500);
    host.wait_for_line("panic: a secret");
    // The stack begins where the function panicked.
    host.wait_for_line("function.Handler(");
    assert_eq!(client.get("/goexit").status, 500);
    host.wait_for_line("ended its goroutine");
    // The process is none the worse for it.
    assert_eq!(client.get("/write").status, 200);
    let metrics = client.get("/metrics").text();
    assert!(metrics.contains("function_failures_total{method=\"GET\"} 3"), "{metrics}");
    assert!(metrics.contains("function_calls_total{method=\"GET\"} 4"), "{metrics}");
}

#[test]
fn error_detail_shows_the_message() {
    let host = support::host(mount(), "Handler").env("FUNC_ERROR_DETAIL", "on").start();
    let answer = host.client().get("/error");
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("a secret"), "{}", answer.text());
}
