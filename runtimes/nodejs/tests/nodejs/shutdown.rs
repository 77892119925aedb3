//! The end of the process: what runs is finished, what does not end is not waited for.

use std::time::{Duration, Instant};

use http::Method;

use crate::support::{Function, at_once};

const CODE: &str = "
exports.handler = async ({ extensions: { request } }) => {
  console.log('began', request.path)
  if (request.path === '/spin') for (;;);
  if (request.path === '/never') await new Promise(() => {})
  await new Promise((resolve) => setTimeout(resolve, 500))
  return 'finished'
}
";

#[test]
fn calls_in_flight_are_finished() {
    let mut function = Function::serve(CODE);
    let client = function.clone();
    let answers = std::thread::scope(|scope| {
        let calls = scope.spawn(|| at_once(5, |_| client.get("/wait").text()));
        while function.host.stdout().matches("began /wait").count() < 5 {
            function.host.wait_for_line("began /wait");
        }
        function.host.signal(nix::sys::signal::Signal::SIGTERM);
        calls.join().expect("answers")
    });
    assert!(answers.iter().all(|text| text == "finished"), "{answers:?}");
    assert_eq!(function.host.wait().code, Some(0));
}

#[test]
fn what_does_not_end_is_not_waited_for() {
    for path in ["/never", "/spin"] {
        let mut function = Function::serve_with(CODE, &[("SHUTDOWN_TIMEOUT", "0.5")]);
        let _connection = function.connect().send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        function.host.wait_for_line(&format!("began {path}"));
        let since = Instant::now();
        let finished = function.host.stop();
        assert_eq!(finished.code, Some(75), "{path}: {finished:?}");
        assert!(since.elapsed() < Duration::from_secs(5), "{path}: {:?}", since.elapsed());
    }
}

#[test]
fn a_second_signal_ends_it_now() {
    let mut function = Function::serve(CODE);
    let _connection = function.connect().send("GET /spin HTTP/1.1\r\nHost: a\r\n\r\n");
    function.host.wait_for_line("began /spin");
    function.host.signal(nix::sys::signal::Signal::SIGTERM);
    function.host.wait_for_line("asked to stop");
    function.host.signal(nix::sys::signal::Signal::SIGINT);
    assert_eq!(function.host.wait().code, Some(130));
}

#[test]
fn every_form_of_the_programs_own_output_names_the_language() {
    let described = crate::support::program().arg("--describe").run();
    assert_eq!(described.code, Some(0));
    let described: serde_json::Value = serde_json::from_str(&described.stdout).expect("JSON");
    assert!(described.to_string().contains("nodejs"), "{described}");
    let version = crate::support::program().arg("--version").run().stdout;
    assert!(version.starts_with("funchost-nodejs "), "{version}");
    let help = crate::support::program().arg("--help").run().stdout;
    for variable in ["MOD_NAME", "FUNC_WORKERS", "FUNC_HEAP_LIMIT", "NODE_PATH"] {
        assert!(help.contains(variable), "{variable} is not in\n{help}");
    }
    let function = Function::serve("exports.handler = () => 'hello'");
    let info = function.request(Method::GET, "/metrics").send().text();
    assert!(info.contains("language=\"nodejs\"") && info.contains("v26."), "{info}");
}
