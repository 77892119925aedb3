//! Replies that are sent while the function runs, deadlines, and clients that leave.

mod support;

use std::{
    io,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use http::Method;
use testkit::{Client, HostProcess, Launch};

/// The handler does what the path says. `signals` are how one call waits for another: a test decides the order.
const SOURCE: &str = r#"
package kubeless

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kubeless/kubeless/pkg/functions"
)

var signals = struct {
	sync.Mutex
	named map[string]chan string
}{named: map[string]chan string{}}

// Pieces that /endless has written.
var written atomic.Int64

func signal(name string) chan string {
	signals.Lock()
	defer signals.Unlock()
	if signals.named[name] == nil {
		signals.named[name] = make(chan string, 1000)
	}
	return signals.named[name]
}

func Handler(event functions.Event, _ functions.Context) (string, error) {
	request, response, ctx := event.Extensions.Request, event.Extensions.Response, event.Extensions.Context
	name := request.URL.Query().Get("name")
	switch request.URL.Path {
	case "/send":
		signal(name) <- request.URL.Query().Get("text")
	case "/receive":
		select {
		case text := <-signal(name):
			return text, nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	case "/stream":
		response.Header().Set("Content-Type", "text/event-stream")
		for text := range signal(name) {
			if text == "end" {
				return "the end", nil
			}
			if text == "fail" {
				return "", errors.New("half-way")
			}
			fmt.Fprintln(response, text)
			response.(http.Flusher).Flush()
		}
	case "/endless":
		piece := strings.Repeat("x", 1<<20)
		for i := 0; ; i++ {
			if _, err := fmt.Fprint(response, piece); err != nil {
				signal(name) <- fmt.Sprintf("%v, %v", err, context.Cause(ctx))
				return "", nil
			}
			written.Add(1)
		}
	case "/written":
		return fmt.Sprint(written.Load()), nil
	case "/wait":
		<-ctx.Done()
		signal(name) <- fmt.Sprintf("%v, %v", ctx.Err(), context.Cause(ctx))
		return "", ctx.Err()
	case "/ignore":
		<-signal(name)
		return "too late", nil
	case "/deadline":
		deadline, ok := ctx.Deadline()
		return fmt.Sprint(ok && time.Until(deadline) <= 180*time.Second && time.Until(deadline) > 170*time.Second), nil
	case "/large":
		return strings.Repeat("0123456789abcdef", 4<<20), nil
	}
	return "", nil
}
"#;

fn mount() -> &'static Path {
    static MOUNT: OnceLock<PathBuf> = OnceLock::new();
    MOUNT.get_or_init(|| support::built("streaming", SOURCE))
}

fn launch() -> Launch {
    support::host(mount(), "Handler")
}

fn start() -> (HostProcess, Client) {
    let host = launch().start();
    let client = host.client();
    (host, client)
}

fn send(client: &Client, name: &str, text: &str) {
    assert_eq!(client.get(&format!("/send?name={name}&text={text}")).status, 200);
}

fn receive(client: &Client, name: &str) -> String {
    client.get(&format!("/receive?name={name}")).text()
}

#[test]
fn flushed_pieces_arrive_before_the_function_goes_on() {
    let (_host, client) = start();
    send(&client, "a", "one");
    let mut stream = client.request(Method::GET, "/stream?name=a").open();
    assert_eq!(stream.status, 200);
    assert_eq!(stream.headers["content-type"], "text/event-stream");
    // The function waits for the next word until this piece has been read, so it cannot come later.
    assert_eq!(stream.piece().unwrap(), b"one\n");
    send(&client, "a", "two");
    assert_eq!(stream.piece().unwrap(), b"two\n");
    send(&client, "a", "end");
    assert_eq!(stream.rest().unwrap(), "the end");
}

#[test]
fn an_error_half_way_cuts_the_response_off() {
    let (mut host, client) = start();
    send(&client, "a", "one");
    let mut stream = client.request(Method::GET, "/stream?name=a").open();
    assert_eq!(stream.piece().unwrap(), b"one\n");
    send(&client, "a", "fail");
    let rest = stream.rest();
    assert!(rest.is_err(), "a client must see that the response is not whole: {rest:?}");
    host.wait_for_line("half-way");
    support::metric(&client, "function_failures_total{method=\"GET\"} 1");
}

#[test]
fn a_client_that_reads_slowly_makes_the_function_wait_and_not_the_memory_grow() {
    let (host, client) = start();
    let mut stream = client.request(Method::GET, "/endless?name=a").open();
    let before = support::resident(host.pid());
    // 64 MiB pass; what is under way between the function and the client is bounded, wherever it is kept.
    let mut read = 0;
    while read < 64 << 20 {
        read += stream.piece().unwrap().len();
    }
    let written: usize = client.get("/written").text().parse().unwrap();
    assert!(written < 64 + 16, "{written} MiB are written when 64 are read");
    let grown = support::resident(host.pid()).saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more are resident");
    drop(stream);
    assert_eq!(receive(&client, "a"), "the client closed the connection, the client closed the connection");
    support::metric(&client, "funchost_calls_in_flight 0");
}

#[test]
fn large_replies_come_whole() {
    let (_host, client) = start();
    let answer = client.get("/large");
    assert_eq!(answer.header("content-length"), (64 << 20).to_string());
    assert!(
        answer.body.chunks(16).all(|piece| piece == b"0123456789abcdef") && answer.body.len() == 64 << 20
    );
}

#[test]
fn the_context_ends_at_the_deadline() {
    let host = launch().env("FUNC_TIMEOUT", "2").start();
    let client = host.client();
    let answer = client.get("/wait?name=a");
    assert_eq!(answer.status, 408);
    assert!(answer.took.as_secs_f64() >= 2.0, "{:?}", answer.took);
    assert_eq!(receive(&client, "a"), "context deadline exceeded, context deadline exceeded");
    support::metric(&client, "funchost_calls_in_flight 0");
    support::metric(&client, "funchost_cancelled_total{reason=\"deadline\"} 1");
    support::metric(&client, "funchost_calls_stuck 0");
}

#[test]
fn the_deadline_can_be_asked_for() {
    let (_host, client) = start();
    assert_eq!(client.get("/deadline").text(), "true");
}

#[test]
fn the_context_ends_when_the_client_leaves() {
    let (host, client) = start();
    let connection = client.connect().send("GET /wait?name=a HTTP/1.1\r\nHost: x\r\n\r\n");
    support::metric(&client, "funchost_calls_in_flight 1");
    drop(connection);
    assert_eq!(receive(&client, "a"), "context canceled, the client closed the connection");
    support::metric(&client, "funchost_cancelled_total{reason=\"client_gone\"} 1");
    drop(host);
}

#[test]
fn a_deadline_in_the_middle_of_a_stream_cuts_it_off() {
    let host = launch().env("FUNC_TIMEOUT", "2").start();
    let client = host.client();
    let mut stream = client.request(Method::GET, "/endless?name=a").open();
    let error = loop {
        match stream.piece() {
            Ok(piece) => assert!(!piece.is_empty(), "the stream ended as if it were whole"),
            Err(error) => break error,
        }
    };
    assert_ne!(error.kind(), io::ErrorKind::TimedOut, "{error}");
    assert_eq!(receive(&client, "a"), "context deadline exceeded, context deadline exceeded");
    support::metric(&client, "funchost_calls_in_flight 0");
}

#[test]
fn a_handler_that_ignores_its_deadline_keeps_its_place_and_is_counted_until_it_returns() {
    let host = launch().env("FUNC_TIMEOUT", "2").env("FUNC_CONCURRENCY", "2").start();
    let client = host.client();
    assert_eq!(client.get("/ignore?name=a").status, 408);
    support::metric(&client, "funchost_calls_stuck 1");
    support::metric(&client, "funchost_calls_in_flight 1");
    send(&client, "a", "go");
    support::metric(&client, "funchost_calls_stuck 0");
    support::metric(&client, "funchost_calls_in_flight 0");
    // What it returned at last goes nowhere, least of all into another call's answer.
    assert_eq!(client.get("/written").text(), "0");
}
