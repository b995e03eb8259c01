//! From the text of a manifest file to the documents in it. Pure.

use serde_json::{Map, Value};

use crate::yaml;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Documents separated by `---`.
    Yaml,
    /// One JSON text after another.
    Json,
}

/// What there is in a file.
#[derive(Debug, Default, PartialEq)]
pub struct Documents {
    /// Objects that have an `apiVersion`, a `kind` and a `metadata.name`.
    pub objects: Vec<Map<String, Value>>,
    /// What is none.
    pub broken: Vec<Broken>,
}

/// A document that is no object of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Broken {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

impl Documents {
    /// Everything that is in a file of these bytes.
    pub fn parse(bytes: &[u8], format: Format) -> Self {
        let mut documents = Self::default();
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let line = 1 + String::from_utf8_lossy(&bytes[..error.valid_up_to()]).matches('\n').count();
                documents.broken.push(Broken { line, reason: "it is not UTF-8".into() });
                return documents;
            }
        };
        // A byte order mark says nothing of UTF-8.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        match format {
            Format::Yaml => {
                for (line, text) in split_yaml(text) {
                    documents.add(line, parse_yaml(line, text));
                }
            }
            Format::Json => {
                let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
                let (mut line, mut counted) = (1, 0);
                loop {
                    let start = text.len() - text[values.byte_offset()..].trim_start().len();
                    line += text[counted..start].matches('\n').count();
                    counted = start;
                    let Some(value) = values.next() else { break };
                    documents.add(
                        line,
                        value.map_err(|error| Broken { line: error.line(), reason: without_position(&error) }),
                    );
                }
            }
        }
        documents
    }

    fn add(&mut self, line: usize, document: Result<Value, Broken>) {
        match document {
            Ok(Value::Null) => {}
            Ok(value) => match objects(value) {
                Ok(objects) => self.objects.extend(objects),
                Err(reason) => self.broken.push(Broken { line, reason }),
            },
            Err(broken) => self.broken.push(broken),
        }
    }
}

/// The documents, each with its first line. A line that begins with `---` begins one, as YAML lets it mean nothing else;
/// directives and comments before it belong to it.
fn split_yaml(text: &str) -> Vec<(usize, &str)> {
    let mut starts = vec![(1, 0)];
    let (mut offset, mut only_head) = (0, true);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace)) {
            if !only_head {
                starts.push((index + 1, offset));
            }
            only_head = false;
        } else if !line.trim().is_empty() && !line.starts_with(['%', '#']) {
            only_head = false;
        }
        offset += line.len();
    }
    let ends = starts.iter().skip(1).map(|(_, start)| *start).chain([text.len()]);
    let documents = starts.iter().zip(ends).map(|((line, start), end)| (*line, &text[*start..end]));
    documents.filter(|(_, text)| !text.trim().is_empty()).collect()
}

fn parse_yaml(line: usize, text: &str) -> Result<Value, Broken> {
    serde_saphyr::from_str_with_options::<Option<Value>>(text, yaml::of_objects())
        .map(Option::unwrap_or_default)
        .map_err(|error| {
            let within = error.location().map_or(1, |location| usize::try_from(location.line()).unwrap_or(1));
            Broken { line: line + within.saturating_sub(1), reason: without_position(&error) }
        })
}

/// What is wrong, without where in the document: the line in the file is told beside it.
fn without_position(error: &impl ToString) -> String {
    let text = error.to_string();
    text.split_once(" at line ").map_or(&*text, |(reason, _)| reason).to_owned()
}

/// The object that a document is, or those of the list that it is.
fn objects(document: Value) -> Result<Vec<Map<String, Value>>, String> {
    let Value::Object(mut object) = document else {
        return Err(format!("expected an object with apiVersion, kind and metadata, found {}", type_name(&document)));
    };
    let text = |value: Option<&Value>| value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let api_version = text(object.get("apiVersion")).ok_or("there is no apiVersion")?;
    let kind = text(object.get("kind")).ok_or("there is no kind")?;
    let (Some(item_kind), Some(Value::Array(_))) = (kind.strip_suffix("List"), object.get("items")) else {
        text(object.get("metadata").and_then(|metadata| metadata.get("name")))
            .ok_or_else(|| format!("this {kind} has no metadata.name"))?;
        return Ok(vec![object]);
    };
    let Some(Value::Array(items)) = object.remove("items") else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for (index, mut item) in items.into_iter().enumerate() {
        if let Value::Object(item) = &mut item
            && !item_kind.is_empty()
        {
            // The items of a `ReplicaSetList` leave out what they are.
            item.entry("apiVersion").or_insert_with(|| api_version.clone().into());
            item.entry("kind").or_insert_with(|| item_kind.into());
        }
        all.extend(objects(item).map_err(|reason| format!("item {index} of this {kind}: {reason}"))?);
    }
    Ok(all)
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(documents: &Documents) -> Vec<&str> {
        documents.objects.iter().map(|object| object["metadata"]["name"].as_str().unwrap()).collect()
    }

    fn lines(documents: &Documents) -> Vec<usize> {
        documents.broken.iter().map(|broken| broken.line).collect()
    }

    #[test]
    fn documents_lists_and_typed_lists_are_taken_apart() {
        let text = "\
# only a comment
---
apiVersion: v1
kind: Pod
metadata: {name: a}
--- # the next
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Pod, metadata: {name: b}}
- apiVersion: apps/v1
  kind: ReplicaSetList
  items: [{metadata: {name: c}}]
---
";
        let documents = Documents::parse(text.as_bytes(), Format::Yaml);
        assert_eq!(documents.broken, []);
        assert_eq!(names(&documents), ["a", "b", "c"]);
        assert_eq!(documents.objects[2]["kind"], "ReplicaSet");
        assert_eq!(documents.objects[2]["apiVersion"], "apps/v1");
    }

    #[test]
    fn a_broken_document_is_named_by_its_line_and_the_rest_carries_on() {
        let good = |name: &str| format!("apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n");
        let text = format!("{}---\nkind: [\n  unclosed: }}\n---\n{}---\n- 1\n---\nkind: Pod\n", good("a"), good("b"));
        let documents = Documents::parse(text.as_bytes(), Format::Yaml);
        assert_eq!(names(&documents), ["a", "b"]);
        assert_eq!(lines(&documents), [6, 13, 15], "{:?}", documents.broken);
        assert_eq!(documents.broken[0].reason, "mismatched bracket '[' closed by '}'");
        assert_eq!(documents.broken[2].reason, "there is no apiVersion");
    }

    #[test]
    fn directives_a_byte_order_mark_and_kinds_that_end_in_list_are_no_trouble() {
        let text = "\u{feff}%YAML 1.2\n---\n{apiVersion: x/v1, kind: AccessList, metadata: {name: a}}\n";
        let documents = Documents::parse(text.as_bytes(), Format::Yaml);
        assert_eq!(documents.broken, []);
        assert_eq!(names(&documents), ["a"]);
    }

    #[test]
    fn what_is_not_utf_8_is_named_by_its_line() {
        assert_eq!(lines(&Documents::parse(b"kind: x\nname: \xff\n", Format::Yaml)), [2]);
    }

    #[test]
    fn separators_inside_of_texts_do_not_separate() {
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  x: |\n    ---\n    y\n";
        let documents = Documents::parse(text.as_bytes(), Format::Yaml);
        assert_eq!((names(&documents), documents.broken.len()), (vec!["a"], 0));
    }

    #[test]
    fn json_texts_follow_one_another_up_to_one_that_does_not_parse() {
        let text =
            "{\"apiVersion\": \"v1\", \"kind\": \"Pod\",\n \"metadata\": {\"name\": \"a\"}}\n\n{\"kind\": \"Pod\"}\n{,";
        let documents = Documents::parse(text.as_bytes(), Format::Json);
        assert_eq!(names(&documents), ["a"]);
        assert_eq!(lines(&documents), [4, 5]);
    }
}
