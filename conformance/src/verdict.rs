//! What results come to.

use crate::claims::Floor;
use crate::result::{CheckResult, Claims, Counts, Level, Outcome, ProfileResult, Verdict};

/// The name of the profile that every conformant target has.
pub const CORE: &str = "core";

/// Counts results.
pub fn counts<'a>(results: impl IntoIterator<Item = &'a CheckResult>) -> Counts {
    let mut counts = Counts::default();
    for result in results {
        match (&result.outcome, result.level) {
            (Outcome::Passed, _) => counts.passed += 1,
            (Outcome::Failed, Level::Must) => counts.failed += 1,
            (Outcome::Failed, _) => counts.warned += 1,
            (Outcome::Skipped(_), _) => counts.skipped += 1,
            (Outcome::NotClaimed, _) => counts.not_claimed += 1,
            (Outcome::Error(_), _) => counts.errors += 1,
        }
    }
    counts
}

/// What these results come to. With `strict` a SHOULD counts like a MUST.
pub fn verdict<'a>(results: impl IntoIterator<Item = &'a CheckResult> + Clone, strict: bool) -> Verdict {
    let binds = |result: &&CheckResult| result.level == Level::Must || strict && result.level == Level::Should;
    let any = |is: fn(&Outcome) -> bool| results.clone().into_iter().any(|result| is(&result.outcome));
    let any_binding = |is: fn(&Outcome) -> bool| results.clone().into_iter().filter(binds).any(|result| is(&result.outcome));
    if any(|outcome| matches!(outcome, Outcome::Error(_))) {
        Verdict::Error
    } else if any_binding(|outcome| *outcome == Outcome::Failed) {
        Verdict::NonConformant
    } else if any_binding(|outcome| matches!(outcome, Outcome::Skipped(_))) {
        Verdict::Partial
    } else {
        Verdict::Conformant
    }
}

/// The core and each claimed capability by itself.
pub fn profiles(results: &[CheckResult], claims: &Claims, strict: bool) -> Vec<ProfileResult> {
    let profile = |name: &str, capability: Option<&str>| {
        let own: Vec<_> = results.iter().filter(|result| result.capability.as_deref() == capability).collect();
        ProfileResult {
            name: name.to_owned(),
            verdict: verdict(own.iter().copied(), strict),
            counts: counts(own.iter().copied()),
        }
    };
    let claimed = claims.capabilities.iter().map(|name| profile(name, Some(name)));
    std::iter::once(profile(CORE, None)).chain(claimed).collect()
}

/// What a whole run comes to: its results, and whether the target claims enough.
pub fn overall(results: &[CheckResult], claims: &Claims, floor: Option<&Floor>, strict: bool) -> Verdict {
    let verdict = verdict(results, strict);
    let is_below = floor.is_some_and(|floor| !floor.missing(claims).is_empty());
    if is_below && verdict != Verdict::Error { Verdict::NonConformant } else { verdict }
}
