//! Whether requirements and checks belong together.

use std::collections::HashSet;

use crate::check::Check;
use crate::spec::Spec;

/// What does not fit: a requirement without a check, a check without a requirement, different levels, an id used twice.
pub fn gaps(spec: &Spec, checks: &[&Check]) -> Vec<String> {
    let mut gaps = Vec::new();
    let mut ids = HashSet::new();
    for requirement in &spec.requirements {
        if !ids.insert(requirement.id.as_str()) {
            gaps.push(format!("{}: there are two requirements of this number", requirement.id));
        }
        if !checks.iter().any(|check| check.requirement() == requirement.id) {
            gaps.push(format!("{}: no check looks at it", requirement.id));
        }
    }
    for check in checks {
        let id = check.id;
        if !ids.insert(id) {
            gaps.push(format!("{id}: there are two checks of this id"));
        }
        let Some(requirement) = spec.find(check.requirement()) else {
            gaps.push(format!("{id}: SPEC.md has no requirement {}", check.requirement()));
            continue;
        };
        if requirement.level != check.level {
            gaps.push(format!(
                "{id}: the check says {:?}, the requirement {:?}",
                check.level, requirement.level
            ));
        }
        if requirement.capability.as_deref() != check.needs {
            gaps.push(format!(
                "{id}: the check needs {:?}, the requirement {:?}",
                check.needs, requirement.capability
            ));
        }
    }
    gaps
}
