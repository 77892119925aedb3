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
pub fn verdict(results: &[&CheckResult], strict: bool) -> Verdict {
    let binds = |result: &CheckResult| result.level == Level::Must || strict && result.level == Level::Should;
    let any = |is: fn(&Outcome) -> bool| results.iter().any(|result| is(&result.outcome));
    let any_binding =
        |is: fn(&Outcome) -> bool| results.iter().any(|result| binds(result) && is(&result.outcome));
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
        let own: Vec<_> =
            results.iter().filter(|result| result.capability.as_deref() == capability).collect();
        ProfileResult {
            name: name.to_owned(),
            verdict: verdict(&own, strict),
            counts: counts(own.iter().copied()),
        }
    };
    let claimed = claims.capabilities.iter().map(|name| profile(name, Some(name)));
    std::iter::once(profile(CORE, None)).chain(claimed).collect()
}

/// What a whole run comes to: its results, and whether the target claims enough.
pub fn overall(results: &[CheckResult], claims: &Claims, floor: Option<&Floor>, strict: bool) -> Verdict {
    let verdict = verdict(&results.iter().collect::<Vec<_>>(), strict);
    let is_below = floor.is_some_and(|floor| !floor.missing(claims).is_empty());
    if is_below && verdict != Verdict::Error { Verdict::NonConformant } else { verdict }
}

#[cfg(test)]
mod tests {
    use super::{counts, overall, profiles, verdict};
    use crate::claims::Floor;
    use crate::result::{CheckResult, Claims, Level, Outcome, Verdict};

    fn result(level: Level, outcome: Outcome, capability: Option<&str>) -> CheckResult {
        CheckResult {
            id: String::new(),
            summary: String::new(),
            requirement: String::new(),
            text: String::new(),
            level,
            capability: capability.map(str::to_owned),
            fixture: None,
            outcome,
            seconds: 0.0,
            evidence: None,
        }
    }

    fn skipped() -> Outcome {
        Outcome::Skipped("left out".to_owned())
    }

    #[test]
    fn what_binds_decides() {
        let of = |level, outcome: Outcome, strict| {
            verdict(&[&result(Level::Must, Outcome::Passed, None), &result(level, outcome, None)], strict)
        };
        assert_eq!(of(Level::Must, Outcome::Passed, false), Verdict::Conformant);
        assert_eq!(of(Level::Must, Outcome::Failed, false), Verdict::NonConformant);
        assert_eq!(of(Level::Should, Outcome::Failed, false), Verdict::Conformant);
        assert_eq!(of(Level::Should, Outcome::Failed, true), Verdict::NonConformant);
        assert_eq!(of(Level::May, Outcome::Failed, true), Verdict::Conformant);
        assert_eq!(of(Level::Must, skipped(), false), Verdict::Partial);
        assert_eq!(of(Level::Should, skipped(), false), Verdict::Conformant);
        assert_eq!(of(Level::Must, Outcome::NotClaimed, true), Verdict::Conformant);
        assert_eq!(of(Level::May, Outcome::Error("no fixture".to_owned()), false), Verdict::Error);
    }

    #[test]
    fn an_error_hides_no_failure_in_the_counts() {
        let all = [
            result(Level::Must, Outcome::Failed, None),
            result(Level::Should, Outcome::Failed, None),
            result(Level::Must, Outcome::Error("broken".to_owned()), None),
        ];
        let counts = counts(&all);
        assert_eq!((counts.failed, counts.warned, counts.errors, counts.passed), (1, 1, 1, 0));
    }

    #[test]
    fn each_claim_has_a_profile_and_the_floor_counts() {
        let results = [
            result(Level::Must, Outcome::Passed, None),
            result(Level::Must, Outcome::Failed, Some("multipart")),
            result(Level::Must, Outcome::NotClaimed, Some("dependencies")),
        ];
        let claims = Claims { source: String::new(), capabilities: vec!["multipart".to_owned()] };
        let profiles = profiles(&results, &claims, false);
        let verdicts: Vec<_> =
            profiles.iter().map(|profile| (profile.name.as_str(), profile.verdict)).collect();
        assert_eq!(verdicts, [("core", Verdict::Conformant), ("multipart", Verdict::NonConformant)]);
        let floor = Floor { source: String::new(), capabilities: vec!["dependencies".to_owned()] };
        assert_eq!(overall(&results[..1], &claims, None, false), Verdict::Conformant);
        assert_eq!(overall(&results[..1], &claims, Some(&floor), false), Verdict::NonConformant);
    }
}
