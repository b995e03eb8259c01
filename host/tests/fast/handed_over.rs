//! Guests that hand over a text or a list that is none, in each of the places where there can be one.

use crate::hostile::fate;
use crate::support::host::Workplace;
use crate::support::{plugins, replica_set};

/// Bytes at addresses of `tests/hostile/everything.wat`.
type Bytes<'a> = &'a [(u32, &'a str)];

/// What has to be there for the text or the list to be looked at, and what comes of the guest if nothing is broken.
struct Way<'a> {
    bytes: Bytes<'a>,
    fate: &'a str,
    /// The texts on it: what they are, and the address of each one's address and length.
    texts: &'a [(&'a str, u32)],
    lists: &'a [(&'a str, u32)],
}

const WAYS: [Way; 7] = [
    Way {
        bytes: &[],
        fate: "call: action 1 that the plugin answered is wrong",
        texts: &[
            ("start: name", 3076),
            ("start: version", 3084),
            ("start: api-version of a watch", 3200),
            ("start: kind of a watch", 3208),
            ("start: namespace of a watch", 3220),
            ("start: label-selector of a watch", 3232),
            ("start: field-selector of a watch", 3244),
            ("start: api-version of what it owns", 3264),
            ("start: kind of what it owns", 3272),
            ("call: apply", 8196),
            ("call: apply-status", 8248),
            ("call: api-version of a merge patch", 8300),
            ("call: kind of a merge patch", 8308),
            ("call: namespace of a merge patch", 8320),
            ("call: name of a merge patch", 8328),
            ("call: body of a merge patch", 8336),
            ("call: api-version of a JSON patch", 8352),
            ("call: kind of a JSON patch", 8360),
            ("call: namespace of a JSON patch", 8372),
            ("call: name of a JSON patch", 8380),
            ("call: body of a JSON patch", 8388),
            ("call: api-version of a deletion", 8404),
            ("call: kind of a deletion", 8412),
            ("call: namespace of a deletion", 8424),
            ("call: name of a deletion", 8432),
            ("call: uid of a deletion", 8444),
            ("call: reason of an Event", 8456),
            ("call: note of an Event", 8464),
            ("call: child", 12288),
        ],
        lists: &[("start: watches", 3092), ("start: owns", 3100), ("call: actions", 4104), ("call: children", 4116)],
    },
    Way {
        bytes: &[(3108, r"\01")],
        fate: "start: it describes the finalizer `v1`",
        texts: &[("start: finalizer", 3112)],
        lists: &[],
    },
    Way {
        bytes: &[(3072, r"\01")],
        fate: "start: describe answered: apps",
        texts: &[("start: error", 3076)],
        lists: &[],
    },
    Way {
        bytes: &[(4096, r"\01"), (4104, r"\01\00\00\00\04\05\00\00\09")],
        fate: "call: ConfigMap",
        texts: &[("call: failure", 4108)],
        lists: &[],
    },
    Way {
        bytes: &[(14592, r"\01")],
        fate: "call: not granted: to get v1 ConfigMap a in namespace default",
        texts: &[
            ("call: api-version of what is got", 14336),
            ("call: kind of what is got", 14344),
            ("call: namespace of what is got", 14356),
            ("call: name of what is got", 14364),
        ],
        lists: &[],
    },
    Way {
        bytes: &[(14592, r"\02")],
        fate: "call: not granted: to list v1 ConfigMap",
        texts: &[
            ("call: api-version of what is listed", 14400),
            ("call: kind of what is listed", 14408),
            ("call: namespace of what is listed", 14420),
            ("call: label-selector of what is listed", 14432),
            ("call: field-selector of what is listed", 14444),
        ],
        lists: &[],
    },
    Way {
        bytes: &[(14592, r"\03")],
        fate: "call: action 1 that the plugin answered is wrong",
        texts: &[("call: message of the log", 14464)],
        lists: &[],
    },
];

/// 4 bytes that are not UTF-8, at 1344; and what is beyond all memory.
const NOT_UTF8: &str = r"\40\05\00\00\04\00\00\00";
const OUT_OF_RANGE: &str = r"\00\00\00\7f\01\00\00\00";
/// One item, in the middle of something.
const UNALIGNED: &str = r"\01\0c\00\00\01\00\00\00";

#[test]
fn whatever_text_or_list_a_guest_hands_over_is_one_or_its_call_fails() {
    let place = Workplace::new();
    let mut expected = Vec::new();
    let mut guest = |what: &'static str, bytes: Bytes, fate: String| {
        let data = bytes.iter().map(|(address, bytes)| format!("(data (i32.const {address}) \"{bytes}\")\n"));
        let data = data.collect::<Vec<_>>().concat();
        let name = format!("guest-{}", expected.len());
        place.plugin(&name, &plugins::reconciler(plugins::hostile_guest("everything", &data), "0.1.0"));
        expected.push((name, what, fate));
    };
    for Way { bytes, fate, texts, lists } in WAYS {
        guest("nothing", bytes, fate.to_owned());
        let breaks = |list: &'static [(&str, u32)], with, why: &'static str| {
            list.iter().map(move |(what, address)| (*what, *address, with, why))
        };
        let all = breaks(texts, OUT_OF_RANGE, "string pointer/length out of bounds of memory")
            .chain(breaks(texts, NOT_UTF8, "invalid utf-8"))
            .chain(breaks(lists, OUT_OF_RANGE, "list pointer/length out of bounds of memory"))
            .chain(breaks(lists, UNALIGNED, "list pointer is not aligned"));
        for (what, address, with, why) in all {
            let (when, _) = what.split_once(": ").unwrap();
            guest(what, &[bytes, &[(address, with)]].concat(), format!("{when}: it trapped: {why}"));
        }
    }
    place.object(&replica_set("a", &["main"]));
    let finished = place.run_once(&[]);
    let wrong: Vec<_> = expected
        .iter()
        .filter_map(|(name, what, expected)| {
            let fate = fate(&finished, name);
            (!matches!(&*fate, [fate] if fate.starts_with(expected)))
                .then(|| format!("{what} broken: {fate:?}, and not {expected:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
