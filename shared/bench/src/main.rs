//! Measures hosts beside other servers; `bench --help` tells how it is called.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use bench::{
    plot,
    result::Report,
    run::run,
    spec::{Selection, Spec},
    table,
};

const HELP: &str = "\
bench run --binaries FOLDER --tools FOLDER [OPTION]...   measures, and prints tables of what was found
    --data FOLDER         contenders.toml, workloads.toml and contenders/; shared/bench when not given
    --contender NAME      only this contender or group; may be given more than once
    --workload NAME       only this workload; may be given more than once
    --quick               a short run: fewer contenders, workloads and rounds, where none are named
    --out FILE            writes the report, as JSON
    --store FOLDER        writes YYYY-MM-DD.json, latest.json that points to it, latest.md and plots
bench show FILE           prints the tables of a stored report
bench draw FILE FOLDER    writes latest.md and the plots of a stored report
bench list [FOLDER]       prints the names of contenders and workloads
";

const DATA: &str = "shared/bench";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["--help"] | ["run", "--help"] => Ok(HELP.to_owned()),
        ["run", ..] => Options::parse(&words[1..]).and_then(|options| measure(&options)),
        ["show", file] => Report::load(Path::new(file)).map(|report| table::all(&report)),
        ["draw", file, folder] => Report::load(Path::new(file))
            .and_then(|report| write_shown(&report, Path::new(folder)).map(|()| String::new())),
        ["list"] => list(Path::new(DATA)),
        ["list", folder] => list(Path::new(folder)),
        _ => Err(format!("this is not known: {}\n{HELP}", words.join(" "))),
    };
    match result {
        Ok(text) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(problem) => {
            let _ = writeln!(std::io::stderr(), "bench: {problem}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, Default)]
struct Options {
    binaries: Option<PathBuf>,
    tools: Option<PathBuf>,
    data: Option<PathBuf>,
    out: Option<PathBuf>,
    store: Option<PathBuf>,
    selection: Selection,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(&option) = words.next() {
            if option == "--quick" {
                options.selection.quick = true;
                continue;
            }
            let value =
                *words.next().ok_or_else(|| format!("{option} is unknown, or needs a value\n{HELP}"))?;
            match option {
                "--binaries" => options.binaries = Some(value.into()),
                "--tools" => options.tools = Some(value.into()),
                "--data" => options.data = Some(value.into()),
                "--out" => options.out = Some(value.into()),
                "--store" => options.store = Some(value.into()),
                "--contender" => options.selection.contenders.push(value.to_owned()),
                "--workload" => options.selection.workloads.push(value.to_owned()),
                _ => return Err(format!("{option} is unknown\n{HELP}")),
            }
        }
        Ok(options)
    }
}

fn measure(options: &Options) -> Result<String, String> {
    let data = options.data.as_deref().unwrap_or(Path::new(DATA));
    let binaries = options.binaries.as_deref().ok_or("--binaries is missing")?;
    let tools = options.tools.as_deref().ok_or("--tools is missing")?;
    let spec = Spec::load(data)?.select(&options.selection)?;
    let report = run(&spec, binaries, tools, options.selection.quick)?;
    if let Some(file) = &options.out {
        write(file, &report.to_json())?;
    }
    if let Some(folder) = &options.store {
        fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        let day = report.started.get(..10).unwrap_or("undated");
        write(&folder.join(format!("{day}.json")), &report.to_json())?;
        let latest = folder.join("latest.json");
        let _ = fs::remove_file(&latest);
        std::os::unix::fs::symlink(format!("{day}.json"), &latest)
            .map_err(|error| format!("cannot make {}: {error}", latest.display()))?;
        write_shown(&report, folder)?;
    }
    Ok(table::all(&report))
}

/// What is made from a report, beside it.
fn write_shown(report: &Report, folder: &Path) -> Result<(), String> {
    for plot in plot::PLOTS {
        write(&folder.join(plot.file), &plot.draw(report))?;
    }
    write(&folder.join("latest.md"), &table::all(report))
}

fn list(data: &Path) -> Result<String, String> {
    let spec = Spec::load(data)?;
    let contenders = spec.contenders.iter().map(|c| format!("contender  {:28} {}\n", c.name, c.title));
    let workloads = spec.workloads.iter().map(|w| format!("workload   {:28} {}\n", w.name, w.title));
    Ok(contenders.chain(workloads).collect())
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    fs::write(file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))
}
