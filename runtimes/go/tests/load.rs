//! Many callers at once, for long enough that a leak or a lost call would show.

mod support;

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
    thread,
};

use http::Method;
use nix::sys::signal::Signal;
use testkit::{Client, HostProcess};

const CALLERS: usize = 64;

const SOURCE: &str = r#"
package kubeless

import (
	"fmt"
	"io"
	"net/http"
	"runtime"

	"github.com/kubeless/kubeless/pkg/functions"
)

func Handler(event functions.Event, _ functions.Context) (string, error) {
	switch event.Extensions.Request.URL.Path {
	case "/count":
		runtime.GC()
		return fmt.Sprint(runtime.NumGoroutine()), nil
	case "/stream":
		io.WriteString(event.Extensions.Response, event.Data)
		event.Extensions.Response.(http.Flusher).Flush()
		return event.Data, nil
	case "/done":
		// Asking for the channel is what ties a call to news of its end.
		select {
		case <-event.Extensions.Context.Done():
			return "cancelled", nil
		default:
			return event.Data, nil
		}
	case "/large":
		piece := make([]byte, 100_000)
		for range 10 {
			event.Extensions.Response.Write(piece)
		}
	case "/panic":
		panic(event.Data)
	}
	return event.Data, nil
}
"#;

fn start() -> HostProcess {
    static MOUNT: OnceLock<PathBuf> = OnceLock::new();
    let mount: &Path = MOUNT.get_or_init(|| support::built("load", SOURCE));
    // Panics are logged with their stacks; a test's pipe need not carry access lines beside them.
    support::host(mount, "Handler").env("FUNC_ACCESS_LOG", "off").start()
}

fn goroutines(client: &Client) -> usize {
    client.get("/count").text().parse().expect("a number")
}

/// Every caller makes `rounds` rounds of five calls, and a long stream now and then, and checks that each answer is its own.
fn call(client: &Client, rounds: usize) {
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            scope.spawn(move || {
                for round in 0..rounds {
                    let data = format!("{caller}/{round}");
                    let post = |path| client.request(Method::POST, path).body(data.as_str()).send();
                    for path in ["/", "/echo", "/done"] {
                        let answer = post(path);
                        assert_eq!((answer.status, answer.text()), (200, data.clone()), "{path}");
                    }
                    assert_eq!(post("/stream").text(), format!("{data}{data}"));
                    assert_eq!(post("/panic").status, 500);
                    // Longer than what may be under way: the function waits for its client, and is woken.
                    if round % 5 == 0 {
                        assert_eq!(client.get("/large").body.len(), 1_000_000);
                    }
                }
            });
        }
    });
}

/// Makes half of the calls, and then the other half, which must not take much memory.
fn nothing_is_left_behind(calls: usize) {
    let host = start();
    let client = host.client();
    let rounds = calls / 2 / CALLERS / 5;
    call(&client, rounds);
    // The heap breathes: what shows is 840 bytes that are left behind by each of 10,000 calls, or 42 by each of 200,000.
    let repeated = support::grows_less_than(8 << 20, host.pid(), || call(&client, rounds));
    // Go's own, the plugin's, and those that are kept for the next calls.
    let count = goroutines(&client);
    assert!(count <= 64 + 8, "{count} goroutines are left");
    let metrics = client.get("/metrics").text();
    // The streams, and the call that counts goroutines, are GETs.
    let all = (1 + repeated) * rounds * CALLERS * 5;
    assert!(metrics.contains(&format!("function_calls_total{{method=\"POST\"}} {all}\n")), "{metrics}");
    assert!(
        metrics.contains(&format!("function_failures_total{{method=\"POST\"}} {}\n", all / 5)),
        "{metrics}"
    );
    assert!(metrics.contains("funchost_calls_in_flight 0\n"), "{metrics}");
    assert_eq!(host.stop().code, Some(0));
}

#[test]
fn many_callers_leave_nothing_behind() {
    nothing_is_left_behind(20_000);
}

#[test]
#[ignore = "takes about a minute"]
fn very_many_callers_leave_nothing_behind() {
    nothing_is_left_behind(400_000);
}

/// Go interrupts its own busy threads with signals; the one that ends the process must still find the host.
#[test]
fn sigterm_under_load_drains() {
    for _ in 0..5 {
        let host = start();
        let client = host.client();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| while client.try_get("/").is_ok_and(|answer| answer.status == 200) {});
            }
            while !client.get("/metrics").text().contains("function_calls_total") {}
            host.signal(Signal::SIGTERM);
        });
        let finished = host.wait();
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    }
}
