//! Traces, sent to a collector by OTLP over HTTP.
//!
//! The standard variables say where to: `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`. Without
//! either, nothing is sent.

use anyhow::Context as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use crate::spans;

/// The variables that say that there is a collector.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
/// What the host is called, unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` says otherwise.
const SERVICE: &str = "oarlock";

/// Sends what is left when it is dropped.
pub(super) struct TraceGuard(SdkTracerProvider);

impl Drop for TraceGuard {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            eprintln!("the last spans were not sent: {error}");
        }
    }
}

/// What takes in spans, whatever it is made of.
type BoxedLayer<S> = Box<dyn Layer<S> + Send + Sync>;

/// What takes in the spans of traces. None: there is no collector.
pub(super) fn layer<S>() -> anyhow::Result<Option<(BoxedLayer<S>, TraceGuard)>>
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_disabled = std::env::var("OTEL_SDK_DISABLED").is_ok_and(|text| text.eq_ignore_ascii_case("true"));
    if is_disabled || !ENDPOINTS.into_iter().any(is_set) {
        return Ok(None);
    }
    let exporter =
        SpanExporter::builder().with_http().build().context("cannot export traces (OTEL_EXPORTER_OTLP_*)")?;
    let mut resource = Resource::builder();
    if !is_set("OTEL_SERVICE_NAME") && !std::env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|text| names_service(&text))
    {
        resource = resource.with_service_name(SERVICE);
    }
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build();
    let tracer = provider.tracer(SERVICE);
    let layer = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_filter(filter_fn(|metadata| metadata.target() == spans::TARGET));
    Ok(Some((layer.boxed(), TraceGuard(provider))))
}

/// Whether there is a name of the service among these attributes, which are `KEY=VALUE,...`.
fn names_service(attributes: &str) -> bool {
    let mut keys = attributes.split(',').filter_map(|attribute| Some(attribute.split_once('=')?.0.trim()));
    keys.any(|key| key == "service.name")
}
