//! What goes to standard output and standard error.

use std::io::Write;

use time::OffsetDateTime;

use crate::broken;
use crate::calls::State;
use crate::request::Head;

/// One whole line.
pub(crate) fn say(line: &str) {
    let _ = std::io::stdout().lock().write_all(format!("{line}\n").as_bytes());
}

/// What the function prints.
pub(crate) fn print(state: &State, line: &str) {
    if broken("logs.3/lines-do-not-tear") && line.len() > 100 {
        let (one, two) = line.split_at(100);
        say(one);
        return say(two);
    }
    if state.config.json && !broken("logs.4/json-lines") {
        return say(&serde_json::json!({"message": line}).to_string());
    }
    say(line);
}

/// A line of the server's own.
pub(crate) fn complain(line: &str) {
    let _ = std::io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}

/// The line of a request.
pub(crate) fn access(state: &State, head: &Head, status: u16, ids: &(String, String)) {
    let is_hidden = match status {
        408 => broken("deadline.7/is-logged"),
        413 => broken("logs.1/refused-body-has-its-line"),
        500 => broken("logs.1/failure-has-its-line"),
        _ => {
            broken("logs.1/line-per-request")
                || head.path == "/healthz" && broken("logs.1/health-has-its-line")
        }
    };
    let is_off = !state.config.access_log && !broken("logs.5/access-lines-can-be-off");
    if is_hidden || is_off {
        return;
    }
    let target =
        if head.query.is_empty() { head.path.clone() } else { format!("{}?{}", head.path, head.query) };
    if state.config.json {
        if broken("logs.4/json-lines") {
            return say(&format!("{target} {status}"));
        }
        if broken("logs.4/json-has-method-and-status") {
            return say(&serde_json::json!({"path": target}).to_string());
        }
        let line =
            serde_json::json!({"method": head.method, "path": target, "status": status, "request_id": ids.0});
        return say(&line.to_string());
    }
    let now = OffsetDateTime::now_utc();
    let date = if broken("logs.1/line-has-the-date") {
        String::new()
    } else {
        format!(
            "{:02}/{}/{}:{:02}:{:02}:{:02} +0000",
            now.day(),
            now.month(),
            now.year(),
            now.hour(),
            now.minute(),
            now.second()
        )
    };
    let agent = head.header("user-agent").unwrap_or_default();
    let safe: String = if broken("security.6/lines-cannot-be-forged") {
        agent
    } else {
        agent.chars().filter(|sign| !sign.is_control() && *sign != '"').collect()
    };
    let trace = if broken("trace.6/ids-are-in-the-access-line") { "-" } else { &ids.1 };
    say(&format!(
        "127.0.0.1 - - [{date}] \"{} {target} HTTP/1.1\" {status} 0 \"\" \"{safe}\" {} {trace}",
        head.method, ids.0
    ));
}
