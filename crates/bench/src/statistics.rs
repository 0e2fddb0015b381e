//! What is told of several figures.

use serde_json::{Value, json};

/// The middle and the ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// None where there is no figure, or one that is no number.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        [median, min, max].iter().all(|value| value.is_finite()).then_some(Self { median, min, max })
    }

    pub(crate) fn to_json(self, unit: &str) -> Value {
        json!({"median": self.median, "min": self.min, "max": self.max, "unit": unit})
    }

    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let member = |name: &str| value[name].as_f64();
        Some(Self { median: member("median")?, min: member("min")?, max: member("max")? })
    }
}

/// The figure below which this share of all lies.
///
/// # Panics
/// When there is none.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// Ours divided by the floor's, turn by turn.
pub(crate) fn ratios(ours: &[f64], floor: &[f64]) -> Vec<f64> {
    ours.iter().zip(floor).map(|(ours, floor)| ours / floor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_the_middle_and_the_ends() {
        let spread =
            |values: &[f64]| Spread::of(values).map(|spread| (spread.median, spread.min, spread.max));
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some((2.0, 1.0, 3.0)));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]), Some((2.5, 1.0, 4.0)));
        assert_eq!(spread(&[7.0]), Some((7.0, 7.0, 7.0)));
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[1.0, f64::NAN]), None, "what is no number is no measurement");
    }

    #[test]
    fn a_quantile_is_a_figure_that_was_measured() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(quantile(&values, 0.0), 1.0);
        assert_eq!(quantile(&values, 0.5), 51.0);
        assert_eq!(quantile(&values, 0.99), 99.0);
        assert_eq!(quantile(&values, 1.0), 100.0);
    }

    #[test]
    fn ratios_compare_the_same_turn() {
        assert_eq!(ratios(&[2.0, 9.0], &[1.0, 3.0]), [2.0, 3.0]);
        let back = Spread::of(&[1.0, 2.0, 3.0]).map(|spread| spread.to_json("ns"));
        assert_eq!(back.as_ref().and_then(Spread::from_json), Spread::of(&[1.0, 2.0, 3.0]));
    }
}
