//! As much of OTLP's protobuf messages as the tests look at: opentelemetry/proto/trace/v1/trace.proto.

use std::collections::BTreeMap;

/// A span.
#[derive(Clone, Debug, Default)]
pub(crate) struct Span {
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    pub(crate) name: String,
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Those that are texts.
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) error: Option<String>,
    pub(crate) service: String,
}

/// A field of a message: its number, and what it holds.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// All spans in an `ExportTraceServiceRequest`.
pub(crate) fn spans(body: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    for resource_spans in messages(body, 1) {
        let resource = attributes(messages(resource_spans, 1)[0], 1);
        for scope_spans in messages(resource_spans, 2) {
            for message in messages(scope_spans, 2) {
                let service = resource.get("service.name").cloned().unwrap_or_default();
                spans.push(Span { service, ..span(message) });
            }
        }
    }
    spans
}

fn span(message: &[u8]) -> Span {
    let mut span = Span { attributes: attributes(message, 9), ..Span::default() };
    for (number, value) in fields(message) {
        match (number, value) {
            (1, Value::Bytes(id)) => span.trace = hex(id),
            (2, Value::Bytes(id)) => span.id = hex(id),
            (4, Value::Bytes(id)) => span.parent = hex(id),
            (5, Value::Bytes(name)) => span.name = text(name),
            (7, Value::Number(time)) => span.start = time,
            (8, Value::Number(time)) => span.end = time,
            (15, Value::Bytes(status)) => {
                let fields: Vec<_> = fields(status);
                let is_error = fields.iter().any(|(number, value)| *number == 3 && matches!(value, Value::Number(2)));
                let message = messages(status, 2).first().map(|message| text(message)).unwrap_or_default();
                span.error = is_error.then_some(message);
            }
            _ => {}
        }
    }
    span
}

/// The attributes that are texts, in that field of a message.
fn attributes(message: &[u8], number: u64) -> BTreeMap<String, String> {
    let pairs = messages(message, number).into_iter().filter_map(|pair| {
        let value = messages(messages(pair, 2).first()?, 1).first().map(|value| text(value))?;
        Some((text(messages(pair, 1).first()?), value))
    });
    pairs.collect()
}

fn messages(message: &[u8], wanted: u64) -> Vec<&[u8]> {
    let fields = fields(message).into_iter();
    fields
        .filter_map(
            |(number, value)| {
                if let (true, Value::Bytes(bytes)) = (number == wanted, value) { Some(bytes) } else { None }
            },
        )
        .collect()
}

fn fields(mut message: &[u8]) -> Vec<(u64, Value<'_>)> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let value = match key & 7 {
            0 => Value::Number(varint(&mut message)),
            1 => Value::Number(u64::from_le_bytes(take(&mut message, 8).try_into().unwrap())),
            2 => {
                let length = usize::try_from(varint(&mut message)).unwrap();
                Value::Bytes(take(&mut message, length))
            }
            5 => Value::Number(u32::from_le_bytes(take(&mut message, 4).try_into().unwrap()).into()),
            other => panic!("wire type {other}"),
        };
        fields.push((key >> 3, value));
    }
    fields
}

fn varint(message: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(message, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

fn take<'a>(message: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = message.split_at(length);
    *message = rest;
    taken
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}
