//! Handlers of net/http's form, whose bodies come in while they run.

mod support;

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
    thread,
};

use http::Method;
use nix::sys::signal::Signal;
use testkit::{Client, HostProcess, Launch};

/// The handler does what the path says. What it has to tell beside its answer goes to those who ask for it by name.
const SOURCE: &str = r#"
package kubeless

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
)

var notes sync.Map

func note(name string) chan string {
	made, _ := notes.LoadOrStore(name, make(chan string, 1000))
	return made.(chan string)
}

// describe tells which of the errors that a program can ask for this one is.
func describe(err error) string {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return fmt.Sprintf("more than %d bytes", tooLarge.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "slow"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "incomplete"
	}
	return fmt.Sprint(err)
}

func Handler(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("name")
	switch r.URL.Path {
	case "/note":
		select {
		case text := <-note(name):
			fmt.Fprint(w, text)
		case <-r.Context().Done():
		}
	case "/hash":
		sum := sha256.New()
		size, err := io.Copy(sum, r.Body)
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(w, "%d %d %x", r.ContentLength, size, sum.Sum(nil))
	case "/echo":
		piece := make([]byte, 1000)
		for {
			read, err := r.Body.Read(piece)
			w.Write(piece[:read])
			w.(http.Flusher).Flush()
			if err != nil {
				note(name) <- describe(err)
				return
			}
		}
	case "/read":
		note(name) <- "reading"
		read, err := io.Copy(io.Discard, r.Body)
		if cause := context.Cause(r.Context()); err != nil && cause != nil && r.URL.Query().Get("cause") != "" {
			err = cause
		}
		note(name) <- describe(err)
		fmt.Fprintf(w, "read %d", read)
	case "/until":
		io.ReadFull(r.Body, make([]byte, 1))
		note(name) <- "begun"
		_, err := io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		note(name) <- describe(err) + ", " + context.Cause(r.Context()).Error()
	case "/later":
		body := r.Body
		go func() {
			_, err := io.Copy(io.Discard, body)
			note(name) <- describe(err)
		}()
		fmt.Fprint(w, "answered")
	case "/form":
		fmt.Fprint(w, r.FormValue("b"))
	default:
		fmt.Fprint(w, "ignored")
	}
}
"#;

fn launch() -> Launch {
    static MOUNT: OnceLock<PathBuf> = OnceLock::new();
    let mount: &Path = MOUNT.get_or_init(|| support::built("uploads", SOURCE));
    support::host(mount, "Handler")
}

fn start() -> (HostProcess, Client) {
    let host = launch().start();
    let client = host.client();
    (host, client)
}

fn note(client: &Client, name: &str) -> String {
    client.get(&format!("/note?name={name}")).text()
}

fn chunked(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
}

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// 100 MiB of `0123456789abcdef`.
const LARGE: (usize, &str) =
    (100 << 20, "104857600 5bd62fc9bf2d86651969d44c6a68d4cb2be54a240353ad78465bee731da7cd64");

#[test]
fn a_large_body_passes_through_and_does_not_stay() {
    let host = launch().env("REQ_MB_LIMIT", "200").start();
    let client = host.client();
    assert_eq!(client.post("/hash", "text/plain", "warm").status, 200);
    let before = support::resident(host.pid());
    let mut most = 0;
    let (size, expected) = LARGE;
    let piece = "0123456789abcdef".repeat(1 << 16);
    for sized in [true, false] {
        let mut connection = if sized {
            let head = format!(
                "POST /hash HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
            );
            client.connect().send(head)
        } else {
            client.connect().send(chunked("/hash"))
        };
        for _ in 0..size / piece.len() {
            connection = connection.send(if sized { piece.clone() } else { chunk(&piece) });
            most = most.max(support::resident(host.pid()));
        }
        if !sized {
            connection = connection.send("0\r\n\r\n");
        }
        let answer = connection.read_until(expected);
        let length = if sized { "\r\n\r\n104857600 " } else { "\r\n\r\n-1 " };
        assert!(answer.contains(length), "{answer}");
    }
    let grown = most.saturating_sub(before);
    assert!(grown < 24 << 20, "{grown} bytes more were resident");
}

#[test]
fn every_piece_is_answered_before_the_next_is_sent() {
    let (_host, client) = start();
    let mut connection = client.connect().send(chunked("/echo?name=a"));
    for piece in ["one", "two", "three"] {
        connection = connection.send(chunk(piece));
        connection.read_until(&chunk(piece));
    }
    connection = connection.send("0\r\n\r\n");
    connection.read_until("0\r\n\r\n");
    assert_eq!(note(&client, "a"), "EOF");
    // The connection can be used again.
    connection.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").read_until("ignored");
}

#[test]
fn a_body_over_the_limit_is_an_error_to_the_handler_and_413_to_the_client() {
    let host = launch().env("FUNC_MEMFILE_MAX", "10").start();
    let client = host.client();
    let read = client.connect().send(chunked("/read?name=a")).send(chunk("0123456789a")).read_to_end();
    assert!(read.starts_with("HTTP/1.1 413 "), "{read}");
    assert_eq!([note(&client, "a"), note(&client, "a")], ["reading", "more than 10 bytes"]);
    // Half of the answer has been sent: it is cut off.
    let mut connection = client.connect().send(chunked("/echo?name=a")).send(chunk("01234"));
    connection.read_until(&chunk("01234"));
    let rest = connection.send(chunk("56789a")).read_to_end();
    assert!(!rest.contains("0\r\n\r\n"), "{rest:?}");
    assert_eq!(note(&client, "a"), "more than 10 bytes");
    let metrics = client.get("/metrics").text();
    for line in [
        "funchost_rejected_total{reason=\"body_too_large\"} 2\n",
        "function_calls_total{method=\"POST\"} 2\n",
        "function_failures_total{method=\"POST\"} 0\n",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[test]
fn a_client_that_stalls_is_an_error_to_the_handler_and_gets_408() {
    let host = launch().env("FUNC_BODY_TIMEOUT", "0.3").start();
    let client = host.client();
    let answer = client.connect().send(chunked("/read?name=a")).send(chunk("half")).read_to_end();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("FUNC_BODY_TIMEOUT"), "{answer}");
    assert_eq!([note(&client, "a"), note(&client, "a")], ["reading", "slow"]);
}

#[test]
fn the_deadline_ends_reading_and_the_context() {
    let host = launch().env("FUNC_TIMEOUT", "2").start();
    let client = host.client();
    let answer = client.connect().send(chunked("/read?name=a&cause=yes")).send(chunk("half")).read_to_end();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("FUNC_TIMEOUT"), "{answer}");
    assert_eq!(note(&client, "a"), "reading");
    let seen = note(&client, "a");
    assert!(["slow", "context deadline exceeded"].contains(&seen.as_str()), "{seen}");
}

#[test]
fn a_client_that_leaves_is_an_error_to_the_handler_and_ends_the_context() {
    let (host, client) = start();
    let connection = client.connect().send(chunked("/until?name=a")).send(chunk("half"));
    assert_eq!(note(&client, "a"), "begun");
    drop(connection);
    let seen = note(&client, "a");
    let (error, cause) = seen.split_once(", ").unwrap();
    assert!(["incomplete", "the client closed the connection"].contains(&error), "{seen}");
    assert_eq!(cause, "the client closed the connection");
    support::metric(&client, "funchost_cancelled_total{reason=\"client_gone\"} 1");
    support::metric(&client, "funchost_calls_in_flight 0");
    drop(host);
}

#[test]
fn a_handler_need_not_read() {
    let (_host, client) = start();
    let mut connection = client.connect();
    for _ in 0..3 {
        connection = connection.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nsmall");
        connection.read_until("ignored");
    }
    let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";
    let answer = client.connect().send(head).send("a".repeat(1000)).read_to_end();
    assert!(answer.contains("connection: close") && answer.ends_with("ignored"), "{answer}");
    // What is read after the answer is refused, not waited for.
    let answer = client.connect().send(chunked("/later?name=a")).send(chunk("half")).read_until("answered");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let seen = note(&client, "a");
    assert!(
        ["http: invalid Read on closed Body", "the handler has returned"].contains(&seen.as_str()),
        "{seen}"
    );
}

#[test]
fn forms_and_bodies_without_a_byte_are_read_as_usual() {
    let (_host, client) = start();
    assert_eq!(client.post("/form", "application/x-www-form-urlencoded", "a=1&b=two").text(), "two");
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(client.get("/hash").text(), format!("0 0 {empty}"));
    assert_eq!(client.post("/hash", "text/plain", "").text(), format!("0 0 {empty}"));
}

#[test]
fn an_upload_that_has_begun_is_finished_when_the_host_is_told_to_stop() {
    let mut host = launch().env("DRAIN_DELAY", "0").start();
    let client = host.client();
    let mut connection = client.connect().send(chunked("/echo?name=a")).send(chunk("one"));
    connection.read_until(&chunk("one"));
    host.signal(Signal::SIGTERM);
    host.wait_for_line("asked to stop");
    connection = connection.send(chunk("two"));
    connection.read_until(&chunk("two"));
    let rest = connection.send("0\r\n\r\n").read_to_end();
    assert!(rest.ends_with("0\r\n\r\n"), "{rest:?}");
    let finished = host.wait();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
}

#[test]
fn many_uploads_leave_nothing_behind() {
    let (host, client) = start();
    let round = || {
        thread::scope(|scope| {
            for caller in 0..8 {
                let client = &client;
                scope.spawn(move || {
                    for round in 0..50 {
                        let body = format!("{caller}/{round}").repeat(10_000);
                        let post = |path: &str| client.request(Method::POST, path).body(body.as_str()).send();
                        let echoed = post(&format!("/echo?name={caller}"));
                        assert!(echoed.status == 200 && echoed.text() == body);
                        assert_eq!(note(client, &caller.to_string()), "EOF");
                        assert_eq!(post("/").text(), "ignored");
                        // It takes the host a moment to tell a client that is gone from one that has said all.
                        if round % 10 != 0 {
                            continue;
                        }
                        let mut half = client.connect().send(chunked(&format!("/read?name={caller}")));
                        half = half.send(chunk("half"));
                        assert_eq!(note(client, &caller.to_string()), "reading");
                        drop(half);
                        let end = note(client, &caller.to_string());
                        assert!(
                            ["incomplete", "the client closed the connection"].contains(&end.as_str()),
                            "{end}"
                        );
                    }
                });
            }
        });
        support::metric(&client, "funchost_calls_in_flight 0");
    };
    round();
    support::grows_less_than(8 << 20, host.pid(), round);
    assert_eq!(host.stop().code, Some(0));
}
