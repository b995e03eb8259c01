//! What is counted of the requests to API servers, under client-go's names.

use std::sync::Arc;
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::labels::Text;

/// Bounds in seconds.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 4.0, 15.0, 60.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    code: Text,
    method: Text,
    host: Text,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    verb: Text,
    host: Text,
}

/// Counts the requests to API servers; cheap to clone.
#[derive(Clone, Debug)]
pub struct Requests {
    total: Family<RequestLabels, Counter>,
    seconds: Family<DurationLabels, Histogram>,
}

impl Default for Requests {
    fn default() -> Self {
        Self { total: Family::default(), seconds: Family::new_with_constructor(|| Histogram::new(BUCKETS)) }
    }
}

impl Requests {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let all = Self::default();
        registry.register("rest_client_requests", "Requests by status code, method and host", all.total.clone());
        registry.register(
            "rest_client_request_duration_seconds",
            "Time until the head of an answer, or until there was none",
            all.seconds.clone(),
        );
        all
    }

    /// A request of that method to that host, which is counted when this is dropped.
    pub fn begin(&self, method: &str, host: &Arc<str>) -> Asked<'_> {
        Asked { requests: self, method: method.into(), host: host.into(), begin: Instant::now(), code: None }
    }
}

/// A request that is being made.
#[derive(Debug)]
pub struct Asked<'a> {
    requests: &'a Requests,
    method: Text,
    host: Text,
    begin: Instant,
    /// The status of the answer. None: there is none.
    pub code: Option<u16>,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let (method, host) = (self.method.clone(), self.host.clone());
        let code = self.code.map_or_else(|| "<error>".into(), |code| (&*code.to_string()).into());
        let labels = DurationLabels { verb: method.clone(), host: host.clone() };
        self.requests.seconds.get_or_create(&labels).observe(self.begin.elapsed().as_secs_f64());
        self.requests.total.get_or_create(&RequestLabels { code, method, host }).inc();
    }
}
