//! The examples as tests and as a demonstration: each folder says in its `calls.json` what to send and what comes
//! back; `examples/README.md` describes the format.

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use http::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::{Answer, Client, HostProcess, Launch, Mount};

/// How often a call is made whose answer is right and late: on a machine that is busy with other things not every try says
/// what a host can do.
const TRIES: u32 = 5;

const BOUNDARY: &str = "a-boundary-that-no-example-contains";

/// One example: a folder and what its `calls.json` says.
#[derive(Debug)]
pub struct Example {
    /// Language and story, as in `python/hello`.
    pub name: String,
    folder: PathBuf,
    script: Script,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    function: String,
    #[serde(default)]
    env: BTreeMap<String, String>,
    install: Option<String>,
    calls: Vec<Call>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    about: Option<String>,
    request: Request,
    answer: Expected,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    form: Option<Vec<Field>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Field {
    name: String,
    value: String,
    filename: Option<String>,
    #[serde(rename = "type")]
    media_type: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    contains: Option<String>,
    json: Option<Value>,
    within: Option<f64>,
}

/// What running an example has brought.
#[derive(Debug, Default)]
pub struct Report {
    /// Requests and answers, to be read.
    pub transcript: String,
    /// Where an answer was not the expected one.
    pub mismatches: Vec<String>,
}

impl Example {
    /// The example in `folder`.
    pub fn load(folder: &Path) -> io::Result<Self> {
        let file = folder.join("calls.json");
        let script = serde_json::from_slice(&fs::read(&file)?)
            .map_err(|error| io::Error::other(format!("{}: {error}", file.display())))?;
        let mut parts: Vec<_> = folder.iter().rev().take(2).map(|part| part.to_string_lossy()).collect();
        parts.reverse();
        Ok(Self { name: parts.join("/"), folder: folder.to_owned(), script })
    }

    /// All examples in the folders within `language`, by name.
    pub fn all(language: &Path) -> io::Result<Vec<Self>> {
        let mut folders = fs::read_dir(language)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<_>>>()?;
        folders.retain(|folder| folder.join("calls.json").is_file());
        folders.sort();
        folders.iter().map(|folder| Self::load(folder)).collect()
    }

    /// Runs the example on the host that `launch` starts, to the host's end.
    pub fn run(&self, launch: &Launch) -> io::Result<Report> {
        let mut report = Report::default();
        report.say(format_args!("== {}: {}", self.name, self.script.function));
        let mount = Mount::copy_of(&self.folder);
        if let Some(install) = &self.script.install {
            report.say(format_args!("$ {install}"));
        }
        let host = self.prepare(mount.path(), launch)?.start();
        let client = host.client();
        for call in &self.script.calls {
            self.make(call, &client, &mut report);
        }
        report.metrics(&client);
        report.ending(&self.name, host);
        Ok(report)
    }

    /// Makes `mount`, which holds a copy of the example's folder, ready to be served: what to install is installed,
    /// and the launch that comes back serves it.
    pub fn prepare(&self, mount: &Path, launch: &Launch) -> io::Result<Launch> {
        if let Some(install) = &self.script.install {
            install_in(mount, install, launch)?;
        }
        let (module, function) =
            self.script.function.rsplit_once('.').unwrap_or((&self.script.function, "handler"));
        let launch = launch.clone().function(mount, module, function);
        Ok(self.script.env.iter().fold(launch, |launch, (name, value)| launch.env(name, value)))
    }

    fn make(&self, call: &Call, client: &Client, report: &mut Report) {
        let Call { about, request, answer: expected } = call;
        if let Some(about) = about {
            report.say(format_args!("# {about}"));
        }
        report.request(request);
        let mut tries = 1;
        let answer = loop {
            match request.send(client) {
                Ok(answer) if tries < TRIES && expected.is_only_late(&answer) => tries += 1,
                Ok(answer) => break answer,
                Err(error) => {
                    let what = format!("{}: {} {}: {error}", self.name, request.method, request.path);
                    return report.mismatches.push(what);
                }
            }
        };
        if tries > 1 {
            report.say(format_args!("  (in time at try {tries}, or never)"));
        }
        report.answer(&answer);
        for problem in expected.problems(&answer) {
            let what = format!("{}: {} {}: {problem}", self.name, request.method, request.path);
            report.say(format_args!("! {problem}"));
            report.mismatches.push(what);
        }
    }
}

/// As an init container would: a shell, in the mount. The host's binary is found by its name, as in an image.
fn install_in(mount: &Path, command: &str, launch: &Launch) -> io::Result<()> {
    let path = launch.variables().find(|(name, _)| *name == "PATH").map(|(_, path)| path.to_owned());
    let own = launch.program().parent().map(Path::to_owned);
    let folders = own.into_iter().chain(env::split_paths(path.as_deref().unwrap_or_default()));
    let output = Command::new("/bin/sh")
        .args(["-c", command])
        .current_dir(mount)
        .envs(launch.variables())
        .env("PATH", env::join_paths(folders).map_err(io::Error::other)?)
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(io::Error::other(format!("{command}: {}\n{}", output.status, String::from_utf8_lossy(&said))))
}

impl Request {
    fn send(&self, client: &Client) -> io::Result<Answer> {
        let method = Method::from_bytes(self.method.as_bytes()).map_err(io::Error::other)?;
        let mut request = client.request(method, &self.path);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(body) = &self.body {
            request = request.body(body.as_bytes());
        }
        if let Some(form) = &self.form {
            let media_type = format!("multipart/form-data; boundary={BOUNDARY}");
            request = request.header("content-type", media_type).body(multipart(form));
        }
        request.try_send()
    }
}

fn multipart(form: &[Field]) -> String {
    let mut body = String::new();
    for field in form {
        let _ = write!(body, "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{}\"", field.name);
        if let Some(filename) = &field.filename {
            let _ = write!(body, "; filename=\"{filename}\"");
        }
        if let Some(media_type) = &field.media_type {
            let _ = write!(body, "\r\nContent-Type: {media_type}");
        }
        let _ = write!(body, "\r\n\r\n{}\r\n", field.value);
    }
    body + "--" + BOUNDARY + "--\r\n"
}

impl Expected {
    fn is_late(&self, answer: &Answer) -> bool {
        self.within.is_some_and(|within| answer.took > Duration::from_secs_f64(within))
    }

    fn is_only_late(&self, answer: &Answer) -> bool {
        self.is_late(answer) && self.problems(answer).len() == 1
    }

    fn problems(&self, answer: &Answer) -> Vec<String> {
        let mut problems = Vec::new();
        let text = answer.text();
        if answer.status != self.status {
            problems.push(format!("the status is {}, not {}", answer.status, self.status));
        }
        for (name, value) in &self.headers {
            if answer.header(name) != value {
                problems.push(format!("the header {name} is {:?}, not {value:?}", answer.header(name)));
            }
        }
        if let Some(body) = self.body.as_ref().filter(|body| **body != text) {
            problems.push(format!("the body is not {body:?}"));
        }
        if let Some(part) = self.contains.as_ref().filter(|part| !text.contains(part.as_str())) {
            problems.push(format!("the body does not contain {part:?}"));
        }
        if let Some(json) = &self.json
            && serde_json::from_slice::<Value>(&answer.body).ok().as_ref() != Some(json)
        {
            problems.push(format!("the body is not the JSON {json}"));
        }
        if let Some(within) = self.within.filter(|_| self.is_late(answer)) {
            problems.push(format!("it took {:.3} s, longer than {within} s", answer.took.as_secs_f64()));
        }
        problems
    }
}

impl Report {
    fn say(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.transcript, "{line}");
    }

    fn request(&mut self, request: &Request) {
        self.say(format_args!("> {} {}", request.method, request.path));
        for (name, value) in &request.headers {
            self.say(format_args!("> {name}: {value}"));
        }
        for line in request.body.iter().flat_map(|body| body.lines()) {
            self.say(format_args!("  {line}"));
        }
        for field in request.form.iter().flatten() {
            let filename = field.filename.as_ref().map(|name| format!(" (as {name})")).unwrap_or_default();
            self.say(format_args!("  {}{filename} = {:?}", field.name, field.value));
        }
    }

    fn answer(&mut self, answer: &Answer) {
        let (status, media_type) = (answer.status, answer.header("content-type"));
        let took = answer.took.as_secs_f64() * 1000.0;
        self.say(format_args!("< {status}  {media_type}  {} bytes  {took:.1} ms", answer.body.len()));
        for line in answer.text().lines().take(20) {
            self.say(format_args!("  {line}"));
        }
    }

    /// The function's counters, without the buckets.
    fn metrics(&mut self, client: &Client) {
        let Ok(metrics) = client.try_get("/metrics") else { return };
        for line in metrics.text().lines() {
            if line.starts_with("function_") && !line.contains("_bucket") {
                self.say(format_args!("  {line}"));
            }
        }
    }

    fn ending(&mut self, name: &str, host: HostProcess) {
        let finished = host.stop();
        if finished.code != Some(0) {
            self.mismatches
                .push(format!("{name}: the host ended with {:?}\n{}", finished.code, finished.stderr));
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn problems(expected: &str, status: u16, body: &str) -> Vec<String> {
        let expected: Expected = serde_json::from_str(expected).unwrap();
        let headers = HeaderMap::new();
        expected.problems(&Answer { status, headers, body: body.into(), took: Duration::from_millis(20) })
    }

    #[test]
    fn an_answer_as_expected_has_no_problems() {
        let expected = r#"{ "status": 200, "json": { "a": [1, 2.0] }, "contains": "a", "within": 1 }"#;
        assert_eq!(problems(expected, 200, r#"{"a":[1,2.0]}"#), [""; 0]);
    }

    #[test]
    fn every_difference_is_a_problem_of_its_own() {
        let expected = r#"{ "status": 200, "headers": { "x-a": "b" }, "body": "one", "contains": "two",
            "json": 3, "within": 0.01 }"#;
        assert_eq!(problems(expected, 404, "four").len(), 6);
    }

    #[test]
    fn only_what_is_late_and_otherwise_right_is_asked_for_again() {
        let expected: Expected = serde_json::from_str(r#"{ "status": 200, "within": 0.1 }"#).unwrap();
        let answer = |status, ms| {
            let took = Duration::from_millis(ms);
            expected.is_only_late(&Answer { status, headers: HeaderMap::new(), body: Vec::new(), took })
        };
        assert_eq!([answer(200, 50), answer(200, 150), answer(500, 150)], [false, true, false]);
    }

    #[test]
    fn unknown_fields_are_refused() {
        assert!(serde_json::from_str::<Expected>(r#"{ "status": 200, "bdoy": "" }"#).is_err());
    }
}
