//! Contenders and workloads as data.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};

/// Everything that can be measured.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What every contender's environment has.
    pub env: BTreeMap<String, String>,
    /// Contenders that are compared with each other.
    pub groups: Vec<Group>,
    /// In the order in which they are shown.
    pub contenders: Vec<Contender>,
    /// In the order in which they are measured.
    pub workloads: Vec<Workload>,
    /// Where the contenders' folders are.
    pub folder: PathBuf,
}

/// Contenders that are compared with each other.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// What contenders call it.
    pub name: String,
    /// What readers call it.
    pub title: String,
    /// The contender that the others are shown as ratios of.
    pub reference: String,
}

/// A server, or a program that ends at once.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contender {
    /// Unique; what results call it.
    pub name: String,
    /// What readers call it.
    pub title: String,
    /// The group that it belongs to.
    pub group: String,
    /// Whether it is of this project.
    #[serde(default)]
    pub ours: bool,
    /// Whether it takes part in a short run.
    #[serde(default)]
    pub quick: bool,
    /// Whether it is a program that ends at once, and its end is measured.
    #[serde(default)]
    pub ends: bool,
    /// Its folder below `contenders`.
    #[serde(default)]
    pub sources: String,
    /// What is built is shared by the contenders that say the same here. Its own name when empty.
    #[serde(default)]
    pub work: String,
    /// The most connections that it can work on; more would only wait for it to accept them.
    pub connections: Option<usize>,
    /// How long its turns are at least, for one that answers a few calls a second.
    #[serde(default)]
    pub seconds: f64,
    /// Run before its first start with a function.
    #[serde(default)]
    pub prepare: Vec<Step>,
    /// Starts it; must not return before the server has ended.
    pub command: Vec<String>,
    /// More of the command, which a workload may replace.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// Added to its environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Paths of functions, by workload, for servers that choose by path. `/` where there is none.
    #[serde(default)]
    pub paths: BTreeMap<String, String>,
    /// Prints its version.
    #[serde(default)]
    pub version: Vec<String>,
    /// Workloads that it cannot have, with the reason.
    #[serde(default)]
    pub not: BTreeMap<String, String>,
    /// The only workloads that it has, if any are named.
    #[serde(default)]
    pub only: BTreeSet<String>,
    /// What it needs for a workload.
    #[serde(default)]
    pub with: BTreeMap<String, With>,
}

/// A command that prepares a contender.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Added to its environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// What a contender needs for a workload.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    /// Instead of the contender's own `arguments`.
    pub arguments: Option<Vec<String>>,
    /// Added to its environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// How a workload is measured.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Requests per second, and latencies at a fixed rate.
    Load,
    /// From the start to the first answer.
    Cold,
    /// Memory, idle and after calls.
    Memory,
    /// Healthy calls beside ones that do not end.
    Storm,
    /// What an end under load loses.
    Sigterm,
    /// Calls beside idle and half-sent ones.
    Slow,
}

/// What is asked of every contender.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Workload {
    /// Unique; what results call it.
    pub name: String,
    /// What readers call it.
    pub title: String,
    /// How it is measured.
    pub kind: Kind,
    /// The function that is called.
    pub function: String,
    /// What is sent; nothing, with GET, when there is none.
    pub body: Option<Body>,
    /// What has to come back.
    #[serde(default)]
    pub expect: Expect,
    /// How many connections send at once.
    #[serde(default)]
    pub connections: usize,
    /// Requests per second.
    #[serde(default)]
    pub rate: u32,
    /// How often each contender has its turn.
    #[serde(default = "one")]
    pub rounds: usize,
    /// In how many of the rounds latencies are measured.
    #[serde(default)]
    pub latency_rounds: usize,
    /// How long a part takes.
    #[serde(default = "turn")]
    pub seconds: f64,
    /// How long latencies are measured.
    #[serde(default = "second")]
    pub latency_seconds: f64,
    /// How many calls are made.
    #[serde(default)]
    pub calls: usize,
    /// Connections that send nothing.
    #[serde(default)]
    pub idle: usize,
    /// Connections that send half a head.
    #[serde(default)]
    pub partial: usize,
    /// Added to every contender's environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// What differs in a short run; left out of one when there is nothing.
    pub quick: Option<Quick>,
}

fn one() -> usize {
    1
}

fn turn() -> f64 {
    0.4
}

fn second() -> f64 {
    1.0
}

/// What is sent. All contenders get the same bytes.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    /// A JSON document of so many bytes.
    Json(usize),
    /// So many bytes that are not JSON.
    Bytes(usize),
}

/// What has to come back. JSON may be written in another way, everything else is compared byte for byte.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expect {
    /// The status.
    pub status: u16,
    /// The whole body.
    pub text: Option<String>,
    /// The body's length.
    pub length: Option<usize>,
    /// Whether it is what was sent.
    pub body: bool,
}

impl Default for Expect {
    fn default() -> Self {
        Self { status: 200, text: None, length: None, body: false }
    }
}

/// What differs in a short run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Quick {
    rounds: Option<usize>,
    latency_rounds: Option<usize>,
    seconds: Option<f64>,
    calls: Option<usize>,
}

impl Workload {
    /// As it is in a short run, if it is in one.
    fn shortened(mut self) -> Option<Self> {
        let quick = self.quick.take()?;
        self.rounds = quick.rounds.unwrap_or(self.rounds);
        self.latency_rounds = quick.latency_rounds.unwrap_or(self.latency_rounds);
        self.seconds = quick.seconds.unwrap_or(self.seconds);
        self.calls = quick.calls.unwrap_or(self.calls);
        Some(self)
    }

    fn check(&self) -> Result<(), String> {
        let needs: &[(&str, bool)] = match self.kind {
            Kind::Load => &[("connections", self.connections > 0), ("rate", self.rate > 0)],
            Kind::Memory => &[("connections", self.connections > 0), ("calls", self.calls > 0)],
            Kind::Storm => &[("rate", self.rate > 0)],
            Kind::Sigterm => &[("connections", self.connections > 0)],
            Kind::Slow => &[("calls", self.calls > 0)],
            Kind::Cold => &[],
        };
        match needs.iter().find(|(_, given)| !given) {
            Some((field, _)) => Err(format!("workload \"{}\": `{field}` has to be above 0", self.name)),
            None if self.rounds == 0 => {
                Err(format!("workload \"{}\": `rounds` has to be above 0", self.name))
            }
            None => Ok(()),
        }
    }
}

/// What of all is to be measured.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Whether it is a short run.
    pub quick: bool,
    /// Contenders or groups by name; all when there are none.
    pub contenders: Vec<String>,
    /// Workloads by name; all when there are none.
    pub workloads: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Contenders {
    env: BTreeMap<String, String>,
    group: Vec<Group>,
    contender: Vec<Contender>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Workloads {
    workload: Vec<Workload>,
}

impl Spec {
    /// Reads `contenders.toml` and `workloads.toml` in a folder, and checks that they fit each other.
    pub fn load(folder: &Path) -> Result<Self, String> {
        let contenders: Contenders = read(&folder.join("contenders.toml"))?;
        let workloads: Workloads = read(&folder.join("workloads.toml"))?;
        let spec = Self {
            env: contenders.env,
            groups: contenders.group,
            contenders: contenders.contender,
            workloads: workloads.workload,
            folder: folder.join("contenders"),
        };
        spec.check()?;
        Ok(spec)
    }

    fn check(&self) -> Result<(), String> {
        let groups = unique(self.groups.iter().map(|group| &group.name))?;
        let contenders = unique(self.contenders.iter().map(|contender| &contender.name))?;
        let workloads = unique(self.workloads.iter().map(|workload| &workload.name))?;
        self.workloads.iter().try_for_each(Workload::check)?;
        for group in &self.groups {
            known(&format!("reference of group \"{}\"", group.name), &group.reference, &contenders)?;
        }
        for contender in &self.contenders {
            let of = |what: &str| format!("{what} of contender \"{}\"", contender.name);
            known(&of("group"), &contender.group, &groups)?;
            if contender.command.is_empty() {
                return Err(format!("{} is empty", of("command")));
            }
            let named = contender.not.keys().chain(&contender.only);
            for workload in named.chain(contender.with.keys()).chain(contender.paths.keys()) {
                known(&of("workload"), workload, &workloads)?;
            }
        }
        Ok(())
    }

    /// Only what is selected. A name that is not there is an error.
    pub fn select(mut self, selection: &Selection) -> Result<Self, String> {
        let groups = self.groups.iter().map(|group| group.name.clone());
        let contenders =
            self.contenders.iter().map(|contender| contender.name.clone()).chain(groups).collect();
        for name in &selection.contenders {
            known("contender or group", name, &contenders)?;
        }
        let workloads = self.workloads.iter().map(|workload| workload.name.clone()).collect();
        for name in &selection.workloads {
            known("workload", name, &workloads)?;
        }
        let wanted = |names: &[String], name: &str, quick: bool| match names.is_empty() {
            true => quick || !selection.quick,
            false => names.iter().any(|wanted| wanted == name),
        };
        self.contenders.retain(|contender| {
            wanted(&selection.contenders, &contender.name, contender.quick)
                || !selection.contenders.is_empty() && selection.contenders.contains(&contender.group)
        });
        self.workloads = self
            .workloads
            .into_iter()
            .filter(|workload| wanted(&selection.workloads, &workload.name, workload.quick.is_some()))
            .map(|workload| match selection.quick {
                true => workload.clone().shortened().unwrap_or(workload),
                false => workload,
            })
            .collect();
        Ok(self)
    }

    /// The contenders of a group that a workload is measured with.
    pub fn of_group<'a>(
        &'a self,
        group: &'a Group,
        workload: &'a Workload,
    ) -> impl Iterator<Item = &'a Contender> {
        self.contenders.iter().filter(|contender| {
            contender.group == group.name
                && (contender.only.is_empty() || contender.only.contains(&workload.name))
        })
    }
}

fn unique<'a>(names: impl Iterator<Item = &'a String>) -> Result<BTreeSet<String>, String> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name.clone()) {
            return Err(format!("the name \"{name}\" is there twice"));
        }
    }
    Ok(seen)
}

fn known(what: &str, name: &str, allowed: &BTreeSet<String>) -> Result<(), String> {
    if allowed.contains(name) {
        return Ok(());
    }
    let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
    Err(format!("{what} is \"{name}\"; allowed: {}", allowed.join(", ")))
}

fn read<T: DeserializeOwned>(file: &Path) -> Result<T, String> {
    let text =
        fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    toml::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> Spec {
        Spec::load(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("the data of this project")
    }

    fn names(contenders: &[Contender]) -> Vec<&str> {
        contenders.iter().map(|contender| contender.name.as_str()).collect()
    }

    fn select(quick: bool, contenders: &[&str], workloads: &[&str]) -> Result<Spec, String> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        stored().select(&Selection { quick, contenders: owned(contenders), workloads: owned(workloads) })
    }

    #[test]
    fn every_host_is_measured_in_both_isolation_modes() {
        let spec = stored();
        for program in ["funchost-python", "funchost-nodejs", "funchost-go", "fake-host"] {
            let modes: BTreeSet<&str> = spec
                .contenders
                .iter()
                .filter(|contender| contender.command[0].ends_with(program))
                .filter_map(|contender| contender.env.get("FUNC_ISOLATION").map(String::as_str))
                .collect();
            assert_eq!(modes, BTreeSet::from(["process", "thread"]), "{program}");
        }
    }

    #[test]
    fn every_folder_of_a_contender_is_there() {
        let spec = stored();
        for contender in &spec.contenders {
            assert!(spec.folder.join(&contender.sources).is_dir(), "{}", contender.name);
        }
    }

    #[test]
    fn contenders_are_selected_by_name_and_by_group() {
        let spec = select(false, &["axum", "net-http"], &[]).expect("a selection");
        assert_eq!(names(&spec.contenders), ["net-http", "axum"]);
        let spec = select(true, &["go"], &["sigterm"]).expect("a selection");
        assert!(names(&spec.contenders).contains(&"kubeless-go"));
        assert_eq!(spec.workloads.len(), 1);
    }

    #[test]
    fn a_short_run_is_shorter() {
        let (all, quick) = (stored(), select(true, &[], &[]).expect("a selection"));
        assert!(quick.contenders.len() < all.contenders.len());
        assert!(quick.workloads.len() < all.workloads.len());
        assert!(quick.workloads[0].rounds < all.workloads[0].rounds);
    }

    #[test]
    fn an_unknown_name_is_told_with_those_that_are_known() {
        let error = select(false, &[], &["helo"]).expect_err("an error");
        assert!(error.starts_with("workload is \"helo\"; allowed: cold-start, echo-10k"), "{error}");
    }

    #[test]
    fn a_workload_that_lacks_its_numbers_is_an_error() {
        let text = "name = 'a'\ntitle = 'A'\nkind = 'load'\nfunction = 'hello'\nconnections = 1";
        let workload: Workload = toml::from_str(text).expect("a workload");
        assert_eq!(workload.check(), Err("workload \"a\": `rate` has to be above 0".to_owned()));
    }
}
