//! Reports as bars, in SVG that reads on light and on dark pages.

use std::fmt::Write as _;

use super::{
    metric,
    result::{ContenderInfo, Report},
    stats::Spread,
    table::figure,
};

/// What can be drawn.
pub const PLOTS: [Plot; 3] = [
    Plot {
        file: "hello.svg",
        title: "hello: requests per second on one core (more is better)",
        workload: "hello",
        metric: metric::RATE,
    },
    Plot {
        file: "cold-start.svg",
        title: "cold start: milliseconds to the first answer (less is better)",
        workload: "cold-start",
        metric: metric::COLD_START,
    },
    Plot {
        file: "memory.svg",
        title: "memory: MiB after many calls (less is better)",
        workload: "memory",
        metric: metric::USED_MEMORY,
    },
];

/// Bars of one metric, for each contender one.
#[derive(Clone, Copy, Debug)]
pub struct Plot {
    /// The name of its file.
    pub file: &'static str,
    title: &'static str,
    workload: &'static str,
    metric: &'static str,
}

// In pixels.
const WIDTH: f64 = 760.0;
const LABELS: f64 = 220.0;
const BARS: f64 = 430.0;
const TITLE: f64 = 34.0;
const HEADING: f64 = 30.0;
const ROW: f64 = 22.0;
const BAR: f64 = 14.0;

/// The colours of both kinds of page. Viewers that do not know about dark pages get the first.
const STYLE: &str = "\
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 }
.group { font-weight: 600 }
.ours { fill: #0a7ea4 }
.other { fill: #9aa4ae }
.spread { stroke: #1f2328; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .ours { fill: #39b6dc }
  .other { fill: #6b7681 }
  .spread { stroke: #e6edf3 }
}
";

impl Plot {
    /// The whole file. A report without such samples gives a plot that says so.
    pub fn draw(&self, report: &Report) -> String {
        let spread = |contender: &ContenderInfo| report.spread(&contender.name, self.workload, self.metric);
        let most = report.contenders.iter().filter_map(spread).map(|spread| spread.most).fold(0.0, f64::max);
        let mut y = TITLE;
        let mut rows = String::new();
        for group in &report.groups {
            let bars: Vec<_> = report
                .contenders
                .iter()
                .filter(|contender| contender.group == group.name)
                .filter_map(|contender| Some((contender, spread(contender)?)))
                .collect();
            if bars.is_empty() {
                continue;
            }
            let _ = writeln!(
                rows,
                r#"<text class="group" x="0" y="{}">{}</text>"#,
                y + 20.0,
                escape(&group.title)
            );
            y += HEADING;
            for (contender, spread) in bars {
                rows.push_str(&bar(contender, spread, y, BARS / most));
                y += ROW;
            }
        }
        if rows.is_empty() {
            let _ = writeln!(rows, r#"<text x="0" y="{}">This was not measured.</text>"#, y + 20.0);
            y += HEADING;
        }
        let height = y + 8.0;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
             viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n\
             <text class=\"title\" x=\"0\" y=\"20\">{title}</text>\n{rows}</svg>\n",
            title = escape(self.title),
        )
    }
}

/// A bar as long as the median, a line from the least to the most sample, and the median in digits.
fn bar(contender: &ContenderInfo, spread: Spread, y: f64, scale: f64) -> String {
    let class = if contender.ours { "ours" } else { "other" };
    let (text_y, bar_y, middle) = (y + 15.0, y + (ROW - BAR) / 2.0, y + ROW / 2.0);
    let length = |value: f64| value * scale;
    let (from, to) = (LABELS + length(spread.least), LABELS + length(spread.most));
    let mut text = String::new();
    // Names are data for Markdown, where backticks mean something.
    let title = escape(&contender.title.replace('`', ""));
    let _ = writeln!(text, r#"<text x="12" y="{text_y}">{title}</text>"#);
    let _ = writeln!(
        text,
        r#"<rect class="{class}" x="{LABELS}" y="{bar_y}" width="{:.1}" height="{BAR}" rx="2"/>"#,
        length(spread.median).max(1.0)
    );
    if spread.least < spread.most {
        let _ = writeln!(
            text,
            r#"<line class="spread" x1="{from:.1}" y1="{middle}" x2="{to:.1}" y2="{middle}"/>"#
        );
    }
    let _ = writeln!(text, r#"<text x="{:.1}" y="{text_y}">{}</text>"#, to + 8.0, figure(spread.median));
    text
}

/// A text that cannot become markup.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_become_markup() {
        assert_eq!(escape(r#"<a href="x">&</a>"#), "&lt;a href=&quot;x&quot;&gt;&amp;&lt;/a&gt;");
        let contender = ContenderInfo {
            name: String::new(),
            title: "`a <b>`".to_owned(),
            group: String::new(),
            ours: true,
            version: String::new(),
        };
        let bar = bar(&contender, Spread { median: 2.0, least: 1.0, most: 4.0 }, 0.0, 10.0);
        assert!(bar.contains(">a &lt;b&gt;</text>"), "{bar}");
        assert!(bar.contains(r#"class="ours" x="220" y="4" width="20.0""#), "{bar}");
        assert!(bar.contains(r#"x1="230.0" y1="11" x2="260.0""#), "{bar}");
    }
}
