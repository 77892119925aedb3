//! Arithmetic of samples.

/// The middle one, and the least and the most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The median: of an even number of samples the mean of the two in the middle.
    pub median: f64,
    /// The least sample.
    pub least: f64,
    /// The greatest sample.
    pub most: f64,
}

/// The spread of some samples; nothing if there are none.
pub fn spread(samples: &[f64]) -> Option<Spread> {
    let sorted = sorted(samples);
    let (least, most) = (*sorted.first()?, *sorted.last()?);
    let middle = sorted.len() / 2;
    let median = match sorted.len() % 2 {
        0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => sorted[middle],
    };
    Some(Spread { median, least, most })
}

/// The spread of the ratios of samples that were taken in the same rounds. The machine's speed may drift from round to
/// round; a ratio within one hardly does.
pub fn ratios(samples: &[f64], reference: &[f64]) -> Option<Spread> {
    let pairs = samples.iter().zip(reference).filter(|(_, reference)| **reference > 0.0);
    spread(&pairs.map(|(sample, reference)| sample / reference).collect::<Vec<_>>())
}

/// The sample that so many percent are not above (nearest rank); nothing if there are none.
pub fn percentile(samples: &[f64], percent: f64) -> Option<f64> {
    let sorted = sorted(samples);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank within the samples")]
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

fn sorted(samples: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = samples.iter().copied().filter(|sample| sample.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(spread(&[4.0, 1.0, 2.0, 8.0]), Some(Spread { median: 3.0, least: 1.0, most: 8.0 }));
        assert_eq!(spread(&[5.0, 1.0, 2.0]), Some(Spread { median: 2.0, least: 1.0, most: 5.0 }));
        assert_eq!(spread(&[]), None);
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        // The machine was twice as fast in the second round: both contenders were.
        assert_eq!(
            ratios(&[50.0, 100.0], &[100.0, 200.0]),
            Some(Spread { median: 0.5, least: 0.5, most: 0.5 })
        );
        // A round that the reference did not have is left out, and one without an answer too.
        assert_eq!(ratios(&[50.0, 60.0, 70.0], &[100.0, 0.0]).map(|ratios| ratios.most), Some(0.5));
        assert_eq!(ratios(&[1.0], &[]), None);
    }

    #[test]
    fn percentiles_are_samples() {
        let samples: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(percentile(&samples, 50.0), Some(100.0));
        assert_eq!(percentile(&samples, 99.0), Some(198.0));
        assert_eq!(percentile(&samples, 100.0), Some(200.0));
        assert_eq!(percentile(&[7.0], 1.0), Some(7.0));
        assert_eq!(percentile(&[], 50.0), None);
    }
}
