//! Figures for those who operate a node, in the text format of Prometheus.

use core::fmt;
use core::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::node::Node;

/// What a node counts.
#[derive(Debug)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    request_seconds: Seconds,
    operation_seconds: Seconds,
    crashes: Counter,
}

type RequestLabels = [(&'static str, String); 2];
type Seconds = Family<[(&'static str, &'static str); 1], Histogram, fn() -> Histogram>;

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Nothing counted yet.
    pub fn new() -> Self {
        // From 0.25 ms to 2 minutes, each bucket twice the one before.
        let histogram: fn() -> Histogram =
            || Histogram::new(exponential_buckets(0.000_25, 2.0, 20));
        Self {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(histogram),
            operation_seconds: Family::new_with_constructor(histogram),
            crashes: Counter::default(),
        }
    }

    /// A request was answered.
    pub(crate) fn request(&self, route: &'static str, status: u16, took: Duration) {
        let labels = [("route", route.to_owned()), ("status", status.to_string())];
        self.requests.get_or_create(&labels).inc();
        self.request_seconds.get_or_create(&[("route", route)]).observe(took.as_secs_f64());
    }

    /// An operation came to its end.
    pub(crate) fn operation(&self, kind: &'static str, took: Duration) {
        self.operation_seconds.get_or_create(&[("kind", kind)]).observe(took.as_secs_f64());
    }

    /// A namespace crashed on this node.
    pub(crate) fn crashed(&self) {
        self.crashes.inc();
    }

    /// All figures of this process, which runs `node`.
    ///
    /// # Errors
    ///
    /// Never: writing to a text does not fail.
    pub fn page(&self, node: &Node) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("sana");
        let (requests, seconds) = (self.requests.clone(), self.request_seconds.clone());
        registry.register("http_requests", "Requests answered", requests);
        registry.register("http_request_seconds", "Time from request to answer", seconds);
        let operations = self.operation_seconds.clone();
        registry.register("operation_seconds", "Time of operations, from begin to end", operations);
        let crashes = self.crashes.clone();
        registry.register("crashes", "Namespaces that crashed and started over", crashes);
        registry.register_collector(Box::new(Observed(node.clone())));
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &registry)?;
        Ok(page)
    }
}

/// What is looked up in a node when somebody asks.
#[derive(Debug)]
struct Observed(Node);

impl Collector for Observed {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let counts = self.0.store_counts();
        let requests = [
            ("get", counts.gets),
            ("put_visible", counts.visible_puts),
            ("put_fresh", counts.fresh_puts),
            ("delete", counts.deletes),
            ("list", counts.lists),
        ];
        counters(&mut encoder, "store_requests", "Requests to the store", "kind", &requests)?;
        let outcomes = [
            ("not_modified", counts.not_modified),
            ("refused", counts.refused),
            ("throttled", counts.throttled),
            ("lost", counts.lost),
        ];
        counters(&mut encoder, "store_replies", "Replies of note", "outcome", &outcomes)?;
        let bytes = [("read", counts.bytes_read), ("written", counts.bytes_written)];
        counters(&mut encoder, "store_bytes", "Bytes of bodies", "direction", &bytes)?;
        let cache = self.0.cache_statistics();
        let reads = [("hit", cache.hits), ("miss", cache.misses)];
        counters(&mut encoder, "cache_reads", "Reads of what may be cached", "outcome", &reads)?;
        let none: [(&str, &str); 0] = [];
        gauge(&mut encoder, "cache_bytes", "Bytes in the cache", &[(none, cache.bytes)])?;
        let held = self.0.held();
        let count = held.len() as u64;
        gauge(&mut encoder, "namespaces_held", "Namespaces in memory", &[(none, count)])?;
        let unindexed: Vec<_> = held
            .iter()
            .map(|held| ([("namespace", held.name.as_str())], held.unindexed_bytes))
            .collect();
        let help = "Bytes committed and not indexed";
        gauge(&mut encoder, "unindexed_bytes", help, &unindexed)
    }
}

fn counters(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: &[(&str, u64)],
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (value, count) in values {
        ConstCounter::new(*count).encode(family.encode_family(&[(label, *value)])?)?;
    }
    Ok(())
}

fn gauge<const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: &[([(&str, &str); N], u64)],
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in values {
        let value = ConstGauge::new(i64::try_from(*value).unwrap_or(i64::MAX));
        value.encode(family.encode_family(labels)?)?;
    }
    Ok(())
}
