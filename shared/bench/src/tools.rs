//! The programs that make load: wrk for as many requests as a server can answer, oha for latencies at a fixed rate.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Deserialize;

use super::{
    client::Payload,
    server::{CLIENT_CPU, Target, on_cpu},
};

/// Tells wrk what to send, and has it print its figures as JSON.
const WRK_SCRIPT: &str = r#"
local media_type, file
function init(arguments)
  media_type, file = arguments[1], arguments[2]
  if media_type then
    wrk.method = 'POST'
    wrk.headers['Content-Type'] = media_type
    wrk.body = io.open(file, 'rb'):read('*a')
  end
  request = wrk.format()
  wrk.request = function() return request end
end
function done(summary, latency, requests)
  local errors = summary.errors
  print(string.format('{"requests":%d,"microseconds":%d,"status":%d,"broken":%d}', summary.requests,
    summary.duration, errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
"#;

/// Whether the tools are there.
pub(super) fn check(oha: &Path) -> Result<(), String> {
    for tool in ["wrk", "taskset", "setpriv", "setsid"].map(Path::new).into_iter().chain([oha]) {
        Command::new(tool).arg("--version").output().map_err(|error| {
            format!("cannot start {}: {error}; `make setup-bench` installs what is needed", tool.display())
        })?;
    }
    Ok(())
}

/// What a load tool is told beside the target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) connections: usize,
    pub(super) time: Duration,
}

/// Wrk can only be told whole seconds. It is told so many, and interrupted before: it counts until then.
const AT_MOST: &str = "60s";

/// What wrk counted.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Throughput {
    /// Answers, whatever their status.
    pub(super) requests: u64,
    microseconds: u64,
    /// Answers with a status of 400 or above.
    status: u64,
    /// Connections and requests that failed.
    broken: u64,
}

impl Throughput {
    pub(super) fn per_second(&self) -> f64 {
        self.requests as f64 / (self.microseconds as f64 / 1e6)
    }

    /// What was not as expected: a status that means an error is right where one is expected.
    pub(super) fn errors(&self, expected_status: u16) -> u64 {
        let wrong = if expected_status < 400 { self.status } else { self.requests - self.status };
        self.broken + wrong
    }
}

/// As many requests as `load` allows.
#[expect(clippy::disallowed_methods, reason = "nothing is waited for: the time is what is measured")]
pub(super) fn throughput(target: &Target, load: Load, folder: &Path) -> Result<Throughput, String> {
    let script = written(folder, "wrk.lua", WRK_SCRIPT.as_bytes())?;
    let mut wrk = on_cpu(&[CLIENT_CPU], "wrk");
    wrk.arg("--threads=1")
        .arg(format!("--connections={}", load.connections))
        .arg(format!("--duration={AT_MOST}"))
        .arg("--timeout=10s")
        .arg(format!("--script={script}"))
        .arg(target.url());
    if let Some(payload) = &target.payload {
        wrk.arg("--").arg(payload.media_type).arg(payload_file(folder, payload)?);
    }
    let started = wrk.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let wrk = started.map_err(|error| format!("cannot start wrk: {error}"))?;
    thread::sleep(load.time);
    // One that has ended by now says why.
    let _ = kill(Pid::from_raw(wrk.id().cast_signed()), Signal::SIGINT);
    let output = wrk.wait_with_output().map_err(|error| format!("cannot wait for wrk: {error}"))?;
    parse_throughput(&text("wrk", &output)?)
}

fn parse_throughput(output: &str) -> Result<Throughput, String> {
    let figures = output.lines().rev().find(|line| line.starts_with('{'));
    let figures = figures.ok_or_else(|| format!("wrk printed no figures: {output}"))?;
    serde_json::from_str(figures).map_err(|error| format!("wrk printed {figures}: {error}"))
}

/// What oha measured.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Latencies {
    /// Answers.
    pub(super) answers: u64,
    /// Answers of another status than expected, and requests without one.
    pub(super) errors: u64,
    /// In milliseconds: of 50, 90, 99 and 99.9 percent of the answers.
    pub(super) percentiles: [f64; 4],
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OhaOutput {
    latency_percentiles: OhaPercentiles,
    status_code_distribution: std::collections::BTreeMap<u16, u64>,
    error_distribution: std::collections::BTreeMap<String, u64>,
}

/// In seconds; null where there was no answer.
#[derive(Deserialize)]
struct OhaPercentiles {
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
    #[serde(rename = "p99.9")]
    p999: Option<f64>,
}

/// So many requests per second, whether or not earlier ones have been answered. The time that a request had to wait for
/// a connection counts.
pub(super) fn latencies(
    target: &Target,
    load: Load,
    rate: u32,
    oha: &Path,
    folder: &Path,
) -> Result<Latencies, String> {
    let mut command = on_cpu(&[CLIENT_CPU], &oha.to_string_lossy());
    command
        .args(["--no-tui", "--output-format", "json", "--latency-correction", "--disable-compression"])
        .args(["--redirect", "0", "-t", "10s", "-z"])
        .arg(format!("{}ms", load.time.as_millis()))
        .args(["-c", &load.connections.to_string(), "-q", &rate.to_string()]);
    if let Some(payload) = &target.payload {
        command.args(["-m", "POST", "-T", payload.media_type, "-D", &payload_file(folder, payload)?]);
    }
    command.arg(target.url());
    let output = command.output().map_err(|error| format!("cannot start oha: {error}"))?;
    parse_latencies(&text("oha", &output)?, target.expect.status)
}

fn parse_latencies(output: &str, expected_status: u16) -> Result<Latencies, String> {
    /// Requests that were under way when time was over: neither answers nor errors.
    const CUT_OFF: &str = "aborted due to deadline";
    let figures: OhaOutput =
        serde_json::from_str(output).map_err(|error| format!("oha printed {output}: {error}"))?;
    let answers: u64 = figures.status_code_distribution.values().sum();
    let right = figures.status_code_distribution.get(&expected_status).copied().unwrap_or_default();
    let failed = figures.error_distribution.iter().filter(|(error, _)| *error != CUT_OFF);
    let OhaPercentiles { p50, p90, p99, p999 } = figures.latency_percentiles;
    Ok(Latencies {
        answers,
        errors: answers - right + failed.map(|(_, count)| count).sum::<u64>(),
        percentiles: [p50, p90, p99, p999]
            .map(|seconds| seconds.map_or(f64::NAN, |seconds| seconds * 1000.0)),
    })
}

fn payload_file(folder: &Path, payload: &Payload) -> Result<String, String> {
    written(folder, &format!("payload-{}", payload.bytes.len()), &payload.bytes)
}

/// The path of a file with this content.
fn written(folder: &Path, name: &str, content: &[u8]) -> Result<String, String> {
    let file = folder.join(name);
    if fs::metadata(&file).is_ok_and(|found| found.len() == content.len() as u64) {
        return Ok(file.to_string_lossy().into_owned());
    }
    fs::write(&file, content).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    Ok(file.to_string_lossy().into_owned())
}

/// What a tool has printed.
fn text(name: &str, output: &Output) -> Result<String, String> {
    if !output.status.success() {
        return Err(format!("{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrk_is_read_after_what_it_prints_for_people() {
        let output = "Running 1s test @ http://127.0.0.1:1/\n  1 threads and 64 connections\n\
            Requests/sec: 400.00\n{\"requests\":1000,\"microseconds\":2500000,\"status\":30,\"broken\":4}\n";
        let read = parse_throughput(output).expect("figures");
        assert_eq!((read.per_second(), read.errors(200), read.errors(500)), (400.0, 34, 974));
        assert!(
            parse_throughput("unable to connect").is_err_and(|error| error.contains("unable to connect"))
        );
    }

    #[test]
    fn oha_is_read_in_milliseconds_and_requests_that_time_cut_off_are_no_errors() {
        let output = r#"{"summary": {"successRate": 1.0},
            "latencyPercentiles": {"p10": 0.0001, "p50": 0.0002, "p90": 0.001, "p99": 0.25, "p99.9": 1.5},
            "statusCodeDistribution": {"200": 990, "503": 3},
            "errorDistribution": {"aborted due to deadline": 5, "connection refused": 2}}"#;
        let expected = Latencies { answers: 993, errors: 5, percentiles: [0.2, 1.0, 250.0, 1500.0] };
        assert_eq!(parse_latencies(output, 200), Ok(expected));
        assert!(parse_latencies("{}", 200).is_err());
    }

    #[test]
    fn latencies_without_an_answer_are_not_numbers() {
        let output = r#"{"latencyPercentiles": {"p50": null, "p90": null, "p99": null, "p99.9": null},
            "statusCodeDistribution": {}, "errorDistribution": {"aborted due to deadline": 5}}"#;
        let read = parse_latencies(output, 200).expect("figures");
        assert!(read.percentiles.iter().all(|latency| latency.is_nan()));
        assert_eq!((read.answers, read.errors), (0, 0));
    }
}
