//! A whole run: every workload with every contender.

use std::{
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::runtime::Runtime;

use super::{
    client, cold, limits, load, machine, memory,
    result::{ContenderInfo, Finding, GroupInfo, Outcome, Report, SCHEMA, Samples, WorkloadInfo},
    server::Starter,
    sigterm, slow,
    spec::{Contender, Group, Kind, Spec, Workload},
    storm, tools,
};

/// The most that one contender's servers and clients have open at once, with room to spare.
const FILES: u64 = 4096;

/// Measures all that is in `spec` with the programs in `binaries`, and what is in `installed`. Says on standard
/// error how far it is.
pub fn run(spec: &Spec, binaries: &Path, installed: &Path, quick: bool) -> Result<Report, String> {
    tools::check(&installed.join("bin/oha"))?;
    let machine = machine::machine();
    limits::allow_files(FILES)?;
    limits::stay_off_the_servers_cpu()?;
    let began = Instant::now();
    let started = OffsetDateTime::now_utc().replace_nanosecond(0).ok();
    let started = started.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default();
    let runtime = client::runtime()?;
    let mut starter = Starter::new(spec, binaries, installed)?;
    let mut results = Vec::new();
    for workload in &spec.workloads {
        for group in &spec.groups {
            let contenders: Vec<&Contender> = spec.of_group(group, workload).collect();
            if !contenders.is_empty() {
                progress(began.elapsed(), workload, group, contenders.len());
                results.extend(measure(&mut starter, &runtime, &contenders, workload));
            }
        }
    }
    Ok(Report {
        schema: SCHEMA,
        started,
        seconds: began.elapsed().as_secs_f64().round(),
        quick,
        machine,
        revision: machine::revision(),
        tools: machine::tools(installed),
        groups: spec.groups.iter().map(group_info).collect(),
        contenders: spec.contenders.iter().map(|contender| contender_info(&starter, contender)).collect(),
        workloads: spec.workloads.iter().map(workload_info).collect(),
        results,
    })
}

fn progress(elapsed: Duration, workload: &Workload, group: &Group, contenders: usize) {
    let elapsed = elapsed.as_secs();
    let (minutes, seconds) = (elapsed / 60, elapsed % 60);
    let (workload, group) = (&workload.title, &group.title);
    let _ =
        writeln!(std::io::stderr(), "{minutes:3}:{seconds:02}  {workload}, {group}: {contenders} contenders");
}

/// One workload with the contenders of one group.
fn measure(
    starter: &mut Starter<'_>,
    runtime: &Runtime,
    contenders: &[&Contender],
    workload: &Workload,
) -> Vec<Outcome> {
    let (cannot, can): (Vec<&Contender>, Vec<&Contender>) =
        contenders.iter().partition(|contender| contender.not.contains_key(&workload.name));
    let each = match workload.kind {
        Kind::Load => load::measure(starter, runtime, &can, workload),
        Kind::Cold => cold::measure(starter, runtime, &can, workload),
        Kind::Memory | Kind::Storm | Kind::Sigterm | Kind::Slow => {
            can.iter().map(|contender| (*contender, alone(starter, runtime, contender, workload))).collect()
        }
    };
    let mut findings: Vec<(&Contender, Finding)> =
        cannot.into_iter().map(|c| (c, Finding::NotApplicable(c.not[&workload.name].clone()))).collect();
    findings.extend(each.into_iter().map(|(contender, result)| {
        let finding = result.map_or_else(Finding::Failed, Finding::Samples);
        if let Finding::Failed(error) = &finding {
            let _ = writeln!(std::io::stderr(), "        {}: {error}", contender.name);
        }
        (contender, finding)
    }));
    let outcome = |(contender, finding): (&Contender, Finding)| Outcome {
        contender: contender.name.clone(),
        workload: workload.name.clone(),
        finding,
    };
    findings.into_iter().map(outcome).collect()
}

/// A workload that contenders need not take turns for.
fn alone(
    starter: &mut Starter<'_>,
    runtime: &Runtime,
    contender: &Contender,
    workload: &Workload,
) -> Result<Samples, String> {
    match workload.kind {
        Kind::Memory => memory::measure(starter, runtime, contender, workload),
        Kind::Storm => storm::measure(starter, runtime, contender, workload),
        Kind::Sigterm => sigterm::measure(starter, runtime, contender, workload),
        Kind::Slow => slow::measure(starter, runtime, contender, workload),
        Kind::Load | Kind::Cold => Err("contenders take turns with this workload".to_owned()),
    }
}

fn group_info(group: &Group) -> GroupInfo {
    let Group { name, title, reference } = group.clone();
    GroupInfo { name, title, reference }
}

fn contender_info(starter: &Starter<'_>, contender: &Contender) -> ContenderInfo {
    let Contender { name, title, group, ours, .. } = contender.clone();
    let version: Vec<String> = contender.version.iter().map(|word| starter.expand(word)).collect();
    ContenderInfo { name, title, group, ours, version: machine::first_line(&version) }
}

fn workload_info(workload: &Workload) -> WorkloadInfo {
    let Workload { name, title, connections, rate, rounds, seconds, .. } = workload.clone();
    WorkloadInfo { name, title, connections, rate, rounds, seconds }
}
