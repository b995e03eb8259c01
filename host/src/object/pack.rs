//! Packs the JSON of objects that are like one another, as those of one watch are.
//!
//! What most of them have in common is learnt from the first ones, and kept once, as a dictionary. It is the same for as
//! long as the watch goes on: objects that change their shape are packed less well, and that is all.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zstd::zstd_safe::{CCtx, CDict, DCtx, DDict, zstd_sys};

use super::Json;

/// The dictionary is made of objects of so many bytes. As long as there are no more, they are kept as they are.
const SAMPLES: usize = 128 << 10;

/// It is made of no fewer objects.
const FEWEST: usize = 16;

/// What is learnt of one object at most, in bytes.
const MOST_OF_ONE: usize = SAMPLES / FEWEST;

/// How large a dictionary is at most, in bytes. Twice of it packs no better.
const DICTIONARY: usize = 16 << 10;

/// What is counted takes no more bytes of it.
const HEADER: usize = 256;

/// The fastest level that looks at repetitions of any length.
const LEVEL: i32 = 1;

/// What objects have in common.
pub(super) struct Dictionary {
    pack: CDict<'static>,
    unpack: DDict<'static>,
}

/// Packs the objects of one watch.
#[derive(Debug, Default)]
pub struct Packer(Stage);

enum Stage {
    /// Texts one after the other, and how long each is.
    Learning(Vec<u8>, Vec<usize>),
    Packing(Arc<Dictionary>),
    /// They have nothing in common.
    Unlike,
}

/// So many bytes of the room for what is packed are kept for the next object.
const KEPT_ROOM: usize = 64 << 10;

/// What is at work nowhere now. Each takes some hundred KiB, and there are no more than are at work at a time, whatever the
/// number of watches and threads.
static PACKING: Spare<(CCtx<'static>, Vec<u8>)> = Spare::none();
static UNPACKING: Spare<DCtx<'static>> = Spare::none();

struct Spare<T>(Mutex<Vec<T>>);

impl<T> Spare<T> {
    const fn none() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Works with one that is spare, or with a new one. None: there can be no new one.
    fn with<R>(&self, new: impl FnOnce() -> Option<T>, work: impl FnOnce(&mut T) -> Option<R>) -> Option<R> {
        let spare = self.lock().pop();
        let mut taken = spare.or_else(new)?;
        let result = work(&mut taken);
        self.lock().push(taken);
        result
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Packer {
    /// Packs it, if that makes it smaller and enough is known of what comes before it.
    pub fn pack(&mut self, json: &mut Json) {
        match &mut self.0 {
            Stage::Learning(texts, lengths) => {
                let text = json.text();
                let part = &text.as_bytes()[..text.len().min(MOST_OF_ONE)];
                texts.extend_from_slice(part);
                lengths.push(part.len());
                if texts.len() >= SAMPLES {
                    let dictionary = Dictionary::of(texts, lengths);
                    self.0 = dictionary.map_or(Stage::Unlike, |dictionary| Stage::Packing(Arc::new(dictionary)));
                }
            }
            Stage::Packing(dictionary) => {
                if let Some(packed) = Dictionary::pack(dictionary, &json.text()) {
                    *json = packed;
                }
            }
            Stage::Unlike => {}
        }
    }
}

impl Dictionary {
    /// The last ones, as they are, and how often each byte, length and distance comes in all of them.
    ///
    /// zstd's own way, to look for the pieces that come most often, packs no better, and takes ten times the processor
    /// time and 11 MiB, most of which stays with the allocator.
    fn of(texts: &[u8], lengths: &[usize]) -> Option<Self> {
        let bytes = finalize(&texts[texts.len().saturating_sub(DICTIONARY - HEADER)..], texts, lengths)?;
        Some(Self { pack: CDict::try_create(&bytes, LEVEL)?, unpack: DDict::try_create(&bytes)? })
    }

    /// None: it would save less than a quarter.
    fn pack(self: &Arc<Self>, text: &str) -> Option<Json> {
        let length = u32::try_from(text.len()).ok()?;
        let new = || Some((CCtx::try_create()?, Vec::new()));
        PACKING.with(new, |(context, packed)| {
            let most = text.len() / 4 * 3;
            packed.clear();
            packed.reserve(most);
            let result = context.compress_using_cdict(packed, text.as_bytes(), &self.pack).ok();
            // There may be more room than was asked for, from a larger object.
            let json = result.filter(|_| packed.len() <= most).map(|_| Json::packed(packed, length, self));
            packed.clear();
            packed.shrink_to(KEPT_ROOM);
            json
        })
    }

    /// What was packed with this dictionary.
    pub(super) fn unpack(&self, packed: &[u8], length: u32) -> String {
        let text = UNPACKING.with(DCtx::try_create, |context| {
            let mut text = Vec::with_capacity(length as usize);
            context.decompress_using_ddict(&mut text, packed, &self.unpack).ok()?;
            String::from_utf8(text).ok()
        });
        // There is no way for it to fail but a lack of memory, in which the host would end at any other place as well.
        text.unwrap_or_default()
    }
}

/// A dictionary of that content, with what is counted in those texts, which are one after the other and so long.
fn finalize(content: &[u8], texts: &[u8], lengths: &[usize]) -> Option<Vec<u8>> {
    let mut bytes = vec![0; DICTIONARY];
    // The number is in all that is packed, and the smallest takes the least.
    let parameters = zstd_sys::ZDICT_params_t { compressionLevel: LEVEL, notificationLevel: 0, dictID: 1 };
    let count = u32::try_from(lengths.len()).ok()?;
    assert_eq!(lengths.iter().sum::<usize>(), texts.len());
    // SAFETY: each pointer is to as many bytes as the length with it says, and `texts` has all that `lengths` counts.
    #[allow(unsafe_code, reason = "zstd's crates do not wrap it")]
    let written = unsafe {
        let written = zstd_sys::ZDICT_finalizeDictionary(
            bytes.as_mut_ptr().cast(),
            bytes.len(),
            content.as_ptr().cast(),
            content.len(),
            texts.as_ptr().cast(),
            lengths.as_ptr(),
            count,
            parameters,
        );
        (zstd_sys::ZDICT_isError(written) == 0).then_some(written)?
    };
    bytes.truncate(written);
    Some(bytes)
}

impl Default for Stage {
    fn default() -> Self {
        Self::Learning(Vec::new(), Vec::new())
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Learning(..) => "Learning",
            Self::Packing(_) => "Packing",
            Self::Unlike => "Unlike",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(number: usize) -> String {
        let labels = format!(r#""labels":{{"app":"web-{number}","team":"t{}"}}"#, number % 7);
        let containers = r#"{"image":"registry.example.com/web:1","name":"web","ports":[{"containerPort":8080}]}"#;
        format!(
            r#"{{"metadata":{{"name":"web-{number}",{labels}}},"spec":{{"containers":[{}]}}}}"#,
            [containers; 9].join(",")
        )
    }

    fn random(seed: u64, length: usize) -> String {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..length).map(|_| random.alphanumeric()).collect()
    }

    #[test]
    fn objects_are_learnt_from_and_then_packed_and_are_what_they_were() {
        let mut packer = Packer::default();
        let (mut bytes, mut kept) = (0, 0);
        for number in 0..2000 {
            let mut json = Json::from(text(number));
            packer.pack(&mut json);
            assert_eq!((&*json.text(), json.len()), (&*text(number), text(number).len()));
            if bytes < SAMPLES {
                assert_eq!(json.kept(), json.len(), "object {number} is learnt from");
            } else {
                kept += json.kept();
                assert!(json.kept() < json.len() / 5, "object {number}");
            }
            bytes += json.len();
        }
        assert!(kept > 0);
    }

    #[test]
    fn what_packing_makes_no_smaller_is_kept_as_it_is() {
        let mut packer = Packer::default();
        for number in 0..1000 {
            packer.pack(&mut Json::from(text(number)));
        }
        let mut kept = |text: String| {
            let mut json = Json::from(&*text);
            packer.pack(&mut json);
            assert_eq!(*json.text(), text);
            json.kept()
        };
        assert_eq!(kept(random(1, 3000)), 3000);
        let large = text(1).repeat(10_000);
        assert!(kept(large.clone()) < large.len() / 10);
        assert_eq!(kept(random(2, 3000)), 3000, "after a large one there is more room");
    }

    #[test]
    fn objects_that_have_nothing_in_common_or_are_huge_do_no_harm() {
        for length in [10, 3000, 300_000] {
            let mut packer = Packer::default();
            for seed in 0..100 {
                let text = random(seed, length);
                let mut json = Json::from(text.clone());
                packer.pack(&mut json);
                assert_eq!(*json.text(), text);
            }
        }
        let mut packer = Packer::default();
        for _ in 0..100_000 {
            packer.pack(&mut Json::from("{}"));
        }
    }
}
