//! The run as it goes on, for whoever started it, and what it came to.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use console::{Style, Term};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::text::{duration, harmless, one_line, visible};
use super::view::{self, Ending, level, plural, reason, title, total};
use crate::result::{CheckResult, Report};

/// So much of a log is enough beside a prompt; reports have all that was kept.
const LOG_LINES: usize = 12;

/// Shows a run: on a terminal one line that moves, and each check that did not hold above it; elsewhere, and with
/// `NO_COLOR`, a plain line for each check.
pub struct Progress {
    out: Mutex<Box<dyn Write + Send>>,
    bar: Option<ProgressBar>,
    colours: bool,
}

impl Progress {
    /// For the standard output of this process.
    pub fn stdout() -> Self {
        let term = Term::stdout();
        let bar = term.features().colors_supported().then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::term(term.clone(), 10));
            let style = ProgressStyle::with_template("{bar:24} {pos}/{len}  {elapsed}  {wide_msg}");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { colours: bar.is_some(), bar, out: Mutex::new(Box::new(term)) }
    }

    /// Plain lines to anything that takes them.
    pub fn plain(out: impl Write + Send + 'static) -> Self {
        Self { out: Mutex::new(Box::new(out)), bar: None, colours: false }
    }

    /// So many checks will be done.
    pub fn planned(&self, checks: usize) {
        match &self.bar {
            Some(bar) => bar.set_length(checks as u64),
            None => self.write(&format!("{}\n", plural(checks, "check", "checks"))),
        }
    }

    /// One of them is.
    pub fn done(&self, check: &CheckResult) {
        let ending = Ending::of(check);
        if self.bar.is_none() || ending.is_trouble() {
            self.write(&self.line(check, ending));
        }
        if let Some(bar) = &self.bar {
            bar.set_message(check.id.clone());
            bar.inc(1);
        }
    }

    /// All are: what did not hold, and why; the profiles; the verdict.
    pub fn finish(&self, report: &Report) {
        let report = &harmless(report);
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let mut text = String::new();
        for ending in Ending::ALL.into_iter().filter(|ending| ending.is_trouble()) {
            for check in report.checks.iter().filter(|check| Ending::of(check) == ending) {
                text += &self.explained(check, ending);
            }
        }
        text += &self.profiles(report);
        let verdict = self.tone(verdict_style(report).bold(), view::word(report.verdict));
        let address = match report.target.address == report.target.name {
            true => String::new(),
            false => format!(" {}", one_line(&report.target.address)),
        };
        let _ = writeln!(
            text,
            "\n{} ({}{address}): {verdict}\n{} {} in {}.",
            one_line(&title(&report.target)),
            view::kind(&report.target),
            view::sentence(report),
            plural(report.checks.len(), "check", "checks"),
            duration(report.seconds),
        );
        self.write(&text);
    }

    /// `failed       limits.3/chunked-body  A chunked body over the limit is answered 413  1.2 s`
    fn line(&self, check: &CheckResult, ending: Ending) -> String {
        let word = self.tone(style(ending), &format!("{:<11}", ending.word()));
        let took = if check.seconds > 0.0 { format!("  {}", duration(check.seconds)) } else { String::new() };
        let why =
            reason(check).map(|reason| format!(" ({})", one_line(&visible(reason)))).unwrap_or_default();
        format!("{word}  {}  {}{why}{took}\n", check.id, check.summary)
    }

    fn explained(&self, check: &CheckResult, ending: Ending) -> String {
        let mut text = format!("\n{}", self.line(check, ending));
        let _ = writeln!(text, "  {} ({}) {}", check.requirement, level(check.level), one_line(&check.text));
        let Some(evidence) = &check.evidence else { return text };
        text += &block("expected", &evidence.expected, usize::MAX);
        text += &block("actual", &evidence.actual, usize::MAX);
        // A warning is shown in short.
        if ending != Ending::Warned {
            let more =
                [("request", &evidence.request), ("response", &evidence.response), ("log", &evidence.log)];
            for (name, part) in more {
                text += &part.as_deref().map(|part| block(name, part, LOG_LINES)).unwrap_or_default();
            }
        }
        text
    }

    fn profiles(&self, report: &Report) -> String {
        let names = report.profiles.iter().map(|profile| profile.name.len());
        let width = names.chain(["profile".len()]).max().unwrap_or(0);
        let columns = [Ending::Failed, Ending::Warned, Ending::Skipped, Ending::Error];
        let mut text = format!("\n{:<width$}  {:>9}", "profile", "passed");
        for ending in columns {
            let _ = write!(text, "  {:>7}", ending.word());
        }
        text.push('\n');
        for profile in &report.profiles {
            let passed = format!("{}/{}", profile.counts.passed, total(&profile.counts));
            let _ = write!(text, "{:<width$}  {passed:>9}", one_line(&profile.name));
            for ending in columns {
                let n = ending.count(&profile.counts);
                let shown = format!("{:>7}", if n == 0 { "-".to_owned() } else { n.to_string() });
                let shown = if n == 0 { shown } else { self.tone(style(ending), &shown) };
                let _ = write!(text, "  {shown}");
            }
            let _ = writeln!(text, "  {}", view::word(profile.verdict));
        }
        text
    }

    fn tone(&self, style: Style, text: &str) -> String {
        style.force_styling(self.colours).apply_to(text).to_string()
    }

    /// A reader that has gone away is no reason to end the run.
    fn write(&self, text: &str) {
        let write = || {
            let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

/// `  name      the first line`, and the others below it. Of a long text the end is what matters.
fn block(name: &str, text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.trim_end_matches('\n').split('\n').collect();
    let left_out = all.len().saturating_sub(lines);
    let note = (left_out > 0).then(|| format!("... {}", plural(left_out, "earlier line", "earlier lines")));
    let mut block = String::new();
    for (n, line) in note.as_deref().into_iter().chain(all[left_out..].iter().copied()).enumerate() {
        let row = format!("    {:<8}  {line}", if n == 0 { name } else { "" });
        let _ = writeln!(block, "{}", row.trim_end());
    }
    block
}

fn style(ending: Ending) -> Style {
    match ending {
        Ending::Failed => Style::new().red(),
        Ending::Error => Style::new().magenta(),
        Ending::Warned => Style::new().yellow(),
        Ending::Passed => Style::new().green(),
        Ending::Skipped | Ending::NotClaimed => Style::new().dim(),
    }
}

fn verdict_style(report: &Report) -> Style {
    use crate::result::Verdict;
    style(match report.verdict {
        Verdict::Conformant => Ending::Passed,
        Verdict::Partial => Ending::Warned,
        Verdict::NonConformant => Ending::Failed,
        Verdict::Error => Ending::Error,
    })
}
