//! Every form is read back with a parser that is not ours, where there is one.

use std::io::Write;
use std::sync::{Arc, Mutex};

use super::terminal::Progress;
use super::{badge, html, json, junit, markdown, sample, table, text};
use crate::result::{Level, Outcome, Report, Verdict};

fn all() -> [Report; 3] {
    [sample::mixed(), sample::clean(), sample::hostile()]
}

fn xml(text: &str) -> roxmltree::Document<'_> {
    roxmltree::Document::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn elements<'a>(document: &'a roxmltree::Document<'_>, name: &str) -> Vec<roxmltree::Node<'a, 'a>> {
    document.descendants().filter(|node| node.has_tag_name(name)).collect()
}

/// Nothing that acts on whatever shows it.
fn assert_harmless(shown: &str) {
    let acts = |c: &char| {
        (c.is_control() && *c != '\n') || ('\u{202a}'..='\u{202e}').contains(c) || *c == '\u{fffe}'
    };
    assert_eq!(shown.chars().find(acts), None, "{shown:?}");
}

#[test]
fn json_can_be_read_back() {
    for report in all() {
        let text = json(&report);
        assert_eq!(json(&serde_json::from_str::<Report>(&text).unwrap()), text);
    }
}

/// The schema is made of the types. When they change on purpose: `UPDATE=1 cargo test -p funchost-conformance schema`.
#[expect(clippy::disallowed_methods, reason = "a switch of this test alone")]
#[test]
fn the_schema_is_that_of_the_report() {
    let schema = serde_json::to_string_pretty(&schemars::schema_for!(Report)).unwrap() + "\n";
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/report-v1.json");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(file, &schema).unwrap();
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), schema);
}

#[test]
fn junit_counts_and_names_every_check() {
    let text = junit(&sample::mixed());
    let document = xml(&text);
    let root = document.root_element();
    assert_eq!(root.attribute("name"), Some("funchost-conformance: example 1.2.3"));
    let counts = ["tests", "failures", "errors"].map(|name| root.attribute(name).unwrap());
    assert_eq!(counts, ["8", "1", "1"]);
    let suites: Vec<_> =
        elements(&document, "testsuite").iter().map(|suite| suite.attribute("name").unwrap()).collect();
    assert_eq!(suites, ["load", "data", "reply", "cors", "limits", "drain"]);
    let limits = elements(&document, "testsuite")[4];
    assert_eq!(["tests", "failures", "skipped"].map(|name| limits.attribute(name).unwrap()), ["2", "1", "1"]);

    let failure = elements(&document, "failure")[0];
    assert_eq!(failure.parent().unwrap().attribute("name"), Some("limits.2/declared-body"));
    assert_eq!(failure.attribute("type"), Some("MUST"));
    assert_eq!(failure.attribute("message"), Some("expected: status 413; actual: status 200"));
    let details = failure.text().unwrap();
    for part in
        ["The host Must do what limits.2 says.", "content-length: 1048577\n", "HTTP/1.1 200 OK", "line 20"]
    {
        assert!(details.contains(part), "{part}: {details}");
    }
    assert_eq!(elements(&document, "error")[0].attribute("message"), Some("the port was taken"));
    let skipped: Vec<_> =
        elements(&document, "skipped").iter().map(|node| node.attribute("message").unwrap()).collect();
    assert_eq!(skipped, ["not claimed", "not selected"]);
    // A warning must not fail a build, nor get lost.
    let warnings = elements(&document, "system-out");
    assert!(warnings[0].text().unwrap().starts_with("warning: expected: Access-Control-Allow-Origin: *;"));
}

#[test]
fn junit_holds_what_a_target_has_logged_and_nothing_else() {
    let text = junit(&sample::hostile());
    let document = xml(&text);
    assert_eq!(elements(&document, "script").len(), 0);
    assert_eq!(elements(&document, "testcase").len(), 8);
    let logged = elements(&document, "failure")[0].text().unwrap();
    assert!(
        logged.contains("␛[2J␛]0;all fine␇<script>alert(1)</script>\"'&lt;]]></failure></pre>␀␈\n"),
        "{logged}"
    );
    assert_harmless(&text);
}

#[test]
fn the_page_is_one_file_that_runs_nothing() {
    for report in all() {
        let page = html(&report);
        assert!(page.contains("default-src 'none'"));
        for outside in ["<script", "src=", "@import", "url(", "http://", "<iframe", "onload", "onclick"] {
            assert!(!page.contains(outside), "{outside}");
        }
        // All that is escaped is well-formed, apart from the elements that HTML leaves open.
        let body = &page[page.find("<body").unwrap()..page.find("</html>").unwrap()];
        let body = body.replace(" checked>", "/>").replace(" open>", ">");
        let body = closed_inputs(&body);
        let document = xml(&body);
        assert_eq!(elements(&document, "details").len(), report.checks.len());
        assert_harmless(&page);
    }
}

/// Closes the inputs, as XML wants it.
fn closed_inputs(body: &str) -> String {
    let mut pieces = body.split("<input");
    let mut closed = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (input, rest) = piece.split_once('>').unwrap();
        closed += &format!("<input{}/>{rest}", input.trim_end_matches('/'));
    }
    closed
}

#[test]
fn the_page_opens_what_did_not_hold_and_shows_why() {
    let page = html(&sample::mixed());
    let failed = &page[page.find("id=\"limits.2:declared-body\" open").unwrap()..];
    let failed = &failed[..failed.find("</details>").unwrap()];
    for part in
        ["The host Must do what limits.2 says.", "status 413", "status 200", "1048577 bytes", "line 20"]
    {
        assert!(failed.contains(part), "{part}: {failed}");
    }
    assert!(page.contains("href=\"#limits.2:declared-body\""));
    assert!(page.contains("One MUST of the contract does not hold."));
    assert!(!page.contains("id=\"load.1:handler\" open"));
    assert!(!html(&sample::clean()).contains("What to look at"));
}

#[test]
fn the_badge_says_the_verdict() {
    let good = badge(&sample::clean());
    let document = xml(&good);
    assert_eq!(document.root_element().attribute("aria-label"), Some("conformance: conformant 3/3"));
    assert_ne!(colour(&good), colour(&badge(&sample::mixed())));
    // Both texts fit between their paddings.
    let number =
        |node: roxmltree::Node<'_, '_>, name| node.attribute(name).unwrap().parse::<usize>().unwrap();
    for badge in all().map(|report| badge(&report)) {
        let document = xml(&badge);
        let texts = elements(&document, "text");
        let end = number(texts[1], "x") + number(texts[1], "textLength") + 6;
        assert_eq!(end, number(document.root_element(), "width"));
    }
}

fn colour(badge: &str) -> String {
    xml(badge).descendants().filter_map(|node| node.attribute("fill")).nth(1).unwrap().to_owned()
}

#[test]
fn a_table_has_a_row_for_each_report_and_a_column_for_each_profile() {
    let mut threads = sample::clean();
    threads.target.environment[0].1 = "thread".to_owned();
    let mut other = sample::clean();
    other.target.name = "other|host".to_owned();
    other.target.version = None;
    other.target.environment.clear();
    other.profiles.truncate(1);
    assert_eq!(
        table(&[sample::mixed(), threads, other]),
        "\
| host | isolation | verdict | core | binary-body | dependencies |
| --- | --- | --- | --- | --- | --- |
| example 1.2.3 | process | non-conformant | 2/6 | 1/1 | 0/0 |
| example 1.2.3 | thread | conformant | 2/2 | 1/1 | 0/0 |
| other\\|host | – | conformant | 2/2 | – | – |
"
    );
    let mut alone = sample::clean();
    alone.target.environment.clear();
    assert!(table(&[alone]).starts_with("| host | verdict | core |"));
}

#[test]
fn a_summary_is_markdown_whatever_the_target_says() {
    let summary = markdown::summary(&sample::mixed());
    assert!(
        summary.starts_with("### example 1.2.3: non-conformant\n\nOne MUST of the contract does not hold.")
    );
    assert!(summary.contains("| core | non-conformant | 2/6 | 1 | 1 | 1 | 1 |"), "{summary}");
    assert!(summary.contains("<summary>failed: <code>limits.2/declared-body</code>"));
    assert!(summary.contains("expected:\n\n```text\nstatus 413\n```\n"));

    let hostile = markdown::summary(&sample::hostile());
    assert_harmless(&hostile);
    // Fences are longer than what they hold, so each of them is closed by its own.
    assert!(hostile.contains("\n```````text\n"), "{hostile}");
    let mut outside = String::new();
    let mut fence = None;
    for line in hostile.lines() {
        match fence {
            Some(end) if line == end => fence = None,
            Some(_) => {}
            None if line.starts_with("```") => fence = Some(line.trim_end_matches("text")),
            None => outside += line,
        }
    }
    assert!(fence.is_none() && !outside.contains("<script"), "{outside}");
}

/// What was written, for a reader beside the writer.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn shown(report: &Report) -> String {
    let out = Shared::default();
    let progress = Progress::plain(out.clone());
    progress.planned(report.checks.len());
    for check in &report.checks {
        progress.done(check);
    }
    progress.finish(report);
    let bytes = out.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_run_is_shown_in_plain_lines() {
    let mut report = sample::mixed();
    report.checks.retain(|check| !matches!(check.outcome, Outcome::Error(_)));
    assert_eq!(
        shown(&report),
        "\
7 checks
passed       load.1/handler  what load.1/handler looks at  250 ms
passed       load.2/one-import  what load.2/one-import looks at  250 ms
passed       data.4/bytes  what data.4/bytes looks at  250 ms
not claimed  reply.9/streamed  what reply.9/streamed looks at
warning      cors.3/origin-on-errors  what cors.3/origin-on-errors looks at  250 ms
failed       limits.2/declared-body  what limits.2/declared-body looks at  250 ms
skipped      limits.5/gzip  what limits.5/gzip looks at (not selected)  250 ms

failed       limits.2/declared-body  what limits.2/declared-body looks at  250 ms
  limits.2 (MUST) The host Must do what limits.2 says.
    expected  status 413
    actual    status 200
    request   POST / HTTP/1.1
              host: localhost
              content-length: 1048577

              xxxx... (1048577 bytes)
    response  HTTP/1.1 200 OK
              content-length: 0
    log       ... 8 earlier lines
              line 9
              line 10
              line 11
              line 12
              line 13
              line 14
              line 15
              line 16
              line 17
              line 18
              line 19
              line 20

warning      cors.3/origin-on-errors  what cors.3/origin-on-errors looks at  250 ms
  cors.3 (SHOULD) The host Should do what cors.3 says.
    expected  Access-Control-Allow-Origin: *
    actual    no such header

profile          passed   failed  warning  skipped    error
core                2/6        1        1        1        1  non-conformant
binary-body         1/1        -        -        -        -  conformant
dependencies        0/0        -        -        -        -  conformant

example 1.2.3 (container registry.example/functions/example:1.2.3): non-conformant
One MUST of the contract does not hold. 7 checks in 42.5 s.
"
    );
}

#[test]
fn a_target_cannot_write_to_the_terminal() {
    let shown = shown(&sample::hostile());
    assert_harmless(&shown);
    assert!(shown.contains("␛[2J"));
}

#[test]
fn verdicts_are_explained() {
    let said = |verdict| {
        let report = sample::report(verdict, vec![sample::check("load.1/a", Level::Must, Outcome::Passed)]);
        html(&report)
    };
    for (verdict, sentence) in [
        (Verdict::Conformant, "Every MUST of the core and of the 2 claimed capabilities was seen to hold."),
        (Verdict::Partial, "not every MUST was looked at"),
        (Verdict::NonConformant, "promises less than it has to"),
        (Verdict::Error, "says nothing about the target"),
    ] {
        assert!(said(verdict).contains(sentence), "{verdict:?}");
    }
}

#[test]
fn what_acts_is_shown_and_the_rest_is_left() {
    assert_eq!(text::visible("plain\ttext\nünïcode 日本 🎉"), "plain\ttext\nünïcode 日本 🎉");
    assert_eq!(text::visible("a\r\nb\rc\x1b\x7f\0"), "a\nb␍c␛␡␀");
    assert_eq!(text::visible("\u{202e}\u{200b}\u{85}\u{ffff}"), "\\u{202e}\\u{200b}\\u{85}\\u{ffff}");
    assert_eq!(text::one_line("a\nb\tc"), "a b c");
    let durations = [0.0004, 0.25, 0.9996, 59.4, 59.6, 125.2].map(text::duration);
    assert_eq!(durations, ["0 ms", "250 ms", "1.0 s", "59.4 s", "1 min 0 s", "2 min 5 s"]);
}
