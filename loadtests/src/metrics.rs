//! The text form of Prometheus' metrics, as far as sums of samples need it.

use std::collections::BTreeMap;

/// Sums over labels, by metric name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics(pub BTreeMap<String, f64>);

impl Metrics {
    /// The sum over all labels; `None` when the server has no such metric.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }
}

/// Reads what `GET /metrics` answers; lines that are not samples are skipped.
pub fn parse_metrics(text: &str) -> Metrics {
    let mut sums = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name_end = line.find(['{', ' ']).unwrap_or(line.len());
        let after_labels = line.rfind('}').map_or(name_end, |end| end + 1);
        let value = line.get(after_labels..).and_then(|rest| rest.split_whitespace().next());
        if let Some(value) = value.and_then(|value| value.parse::<f64>().ok()) {
            *sums.entry(line[..name_end].to_owned()).or_insert(0.0) += value;
        }
    }
    Metrics(sums)
}

#[cfg(test)]
mod tests {
    use super::parse_metrics;

    #[test]
    fn samples_are_summed_over_labels() {
        let text =
            "# HELP a b\n# TYPE a gauge\na{model=\"x y\"} 2\na{model=\"}\"} 3 1700000000\nb 1\n";
        let metrics = parse_metrics(text);
        assert_eq!(metrics.get("a"), Some(5.0));
        assert_eq!(metrics.get("b"), Some(1.0));
        assert_eq!(metrics.get("c"), None);
    }
}
