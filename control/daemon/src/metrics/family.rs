//! One metric with its series.

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use weir_abi::histogram;

/// A metric while its series are added.
#[derive(Debug)]
pub struct Family {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    series: Vec<Metric>,
}

impl Family {
    /// Something that goes up and down.
    pub fn gauge(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            kind: MetricType::GAUGE,
            series: Vec::new(),
        }
    }

    /// Something that only grows.
    pub fn counter(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            kind: MetricType::COUNTER,
            series: Vec::new(),
        }
    }

    /// Durations in seconds, counted in buckets.
    pub fn histogram(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            kind: MetricType::HISTOGRAM,
            series: Vec::new(),
        }
    }

    /// Adds a series.
    pub fn add(&mut self, labels: &[(&str, &str)], value: f64) {
        let mut metric = labelled(labels);
        if self.kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.series.push(metric);
    }

    /// Adds a series of durations.
    pub fn add_histogram(&mut self, labels: &[(&str, &str)], counted: &histogram::Histogram) {
        let mut below = 0;
        let mut buckets = Vec::with_capacity(histogram::BUCKETS);
        for (place, count) in counted.buckets.iter().enumerate() {
            below += count;
            if let Some(end_us) = histogram::Histogram::end_us(place) {
                let mut bucket = Bucket::default();
                bucket.set_cumulative_count(below);
                bucket.set_upper_bound(end_us as f64 / 1e6);
                buckets.push(bucket);
            }
        }
        let mut histogram = Histogram::default();
        histogram.set_sample_count(counted.total());
        histogram.set_sample_sum(counted.sum_us as f64 / 1e6);
        histogram.set_bucket(buckets);
        let mut metric = labelled(labels);
        metric.set_histogram(histogram);
        self.series.push(metric);
    }

    /// The metric with one more series.
    pub fn with(mut self, labels: &[(&str, &str)], value: f64) -> Self {
        self.add(labels, value);
        self
    }

    /// As the library writes it; `None` without any series.
    pub fn finish(self) -> Option<MetricFamily> {
        if self.series.is_empty() {
            return None;
        }
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(self.kind);
        family.set_metric(self.series);
        Some(family)
    }
}

fn labelled(labels: &[(&str, &str)]) -> Metric {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    let mut metric = Metric::default();
    metric.set_label(labels.iter().map(pair).collect());
    metric
}
