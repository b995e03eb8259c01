//! Finds where a value ends without looking at what is in it.
//!
//! 64 bytes at a time are made bits, one for each byte: where quotes are, where brackets are. By the bits of the quotes it
//! is known which brackets stand in strings, and those that do not are counted. So it goes in simdjson (Langdale and
//! Lemire, Parsing Gigabytes of JSON per Second, 2019), from where this has the steps.

/// How many bytes are looked at together.
const BLOCK: usize = 64;

/// The place after the object or list that begins at `begin`. None: it does not end.
#[cfg_attr(target_family = "wasm", target_feature(enable = "simd128"))]
pub(super) fn after_container(text: &[u8], begin: usize) -> Option<usize> {
    let (mut depth, mut carried) = (0_u32, Carried::default());
    let mut at = begin;
    loop {
        let bits = Bits::of(&block(text, at)?);
        let outside = !carried.in_strings(&bits);
        let (opens, closes) = (bits.opens & outside, bits.closes & outside);
        // It may end here: at the bracket by which as many have closed as have opened.
        let mut rest = if closes.count_ones() < depth { 0 } else { closes };
        while rest != 0 {
            let close = rest.trailing_zeros();
            if depth + (opens & before(close)).count_ones() == (closes & before(close)).count_ones() + 1 {
                return Some(at + close as usize + 1);
            }
            rest &= rest - 1;
        }
        depth = depth + opens.count_ones() - closes.count_ones();
        at += BLOCK;
    }
}

/// The place of the quote that ends the string whose content begins at `begin`, and whether there is an escape in it. None:
/// it does not end.
#[cfg_attr(target_family = "wasm", target_feature(enable = "simd128"))]
pub(super) fn end_of_string(text: &[u8], begin: usize) -> Option<(usize, bool)> {
    let (mut at, mut carried, mut has_escape) = (begin, Carried::default(), false);
    loop {
        let bits = Bits::of(&block(text, at)?);
        let quotes = bits.quotes & !carried.escaped(bits.backslashes);
        if quotes != 0 {
            let end = quotes.trailing_zeros();
            has_escape |= bits.backslashes & before(end) != 0;
            return Some((at + end as usize, has_escape));
        }
        has_escape |= bits.backslashes != 0;
        at += BLOCK;
    }
}

/// All bits below that one.
fn before(bit: u32) -> u64 {
    (1 << bit) - 1
}

/// The next bytes, with blanks after the last one. None: there are none.
fn block(text: &[u8], at: usize) -> Option<[u8; BLOCK]> {
    let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
    if let Some(block) = rest.first_chunk() {
        return Some(*block);
    }
    let mut block = [b' '; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    Some(block)
}

/// What of the blocks before counts in the next one.
#[derive(Default)]
struct Carried {
    /// All bits: the block begins in a string.
    in_string: u64,
    /// 1: its first byte is escaped.
    escaped: u64,
}

impl Carried {
    /// The bytes in strings, with the quotes that begin them and without those that end them.
    fn in_strings(&mut self, bits: &Bits) -> u64 {
        let quotes = bits.quotes & !self.escaped(bits.backslashes);
        let inside = parity(quotes) ^ self.in_string;
        self.in_string = 0_u64.wrapping_sub(inside >> 63);
        inside
    }

    /// The bytes after a backslash that is not escaped itself.
    fn escaped(&mut self, backslashes: u64) -> u64 {
        if backslashes == 0 {
            return std::mem::take(&mut self.escaped);
        }
        let mut escaped = self.escaped;
        let mut rest = backslashes & !escaped;
        self.escaped = 0;
        while rest != 0 {
            let at = rest.trailing_zeros();
            if at == 63 {
                self.escaped = 1;
                break;
            }
            escaped |= 1 << (at + 1);
            rest &= !(0b11 << at);
        }
        escaped
    }
}

/// A bit is set if it and those below it have an odd number of bits.
fn parity(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// What stands where in a block.
struct Bits {
    quotes: u64,
    backslashes: u64,
    /// Of objects and lists: a closing bracket of either kind ends what one of either kind began.
    opens: u64,
    closes: u64,
}

/// A bit that the two kinds of brackets differ in, and nothing else does in JSON but within strings.
const KIND: u8 = b'{' ^ b'[';

#[cfg(target_family = "wasm")]
impl Bits {
    #[target_feature(enable = "simd128")]
    fn of(block: &[u8; BLOCK]) -> Self {
        use std::arch::wasm32::{i8x16_bitmask, u8x16_eq, u8x16_splat, u64x2, v128_or};
        let mut bits = Self { quotes: 0, backslashes: 0, opens: 0, closes: 0 };
        for (lane, bytes) in block.as_chunks::<16>().0.iter().enumerate() {
            let [low, high] = bytes.as_chunks::<8>().0 else { continue };
            let bytes = u64x2(u64::from_le_bytes(*low), u64::from_le_bytes(*high));
            let brackets = v128_or(bytes, u8x16_splat(KIND));
            let is = |bytes, byte| u64::from(i8x16_bitmask(u8x16_eq(bytes, u8x16_splat(byte)))) << (16 * lane);
            bits.quotes |= is(bytes, b'"');
            bits.backslashes |= is(bytes, b'\\');
            bits.opens |= is(brackets, b'{');
            bits.closes |= is(brackets, b'}');
        }
        bits
    }
}

#[cfg(not(target_family = "wasm"))]
impl Bits {
    fn of(block: &[u8; BLOCK]) -> Self {
        let mut bits = Self { quotes: 0, backslashes: 0, opens: 0, closes: 0 };
        for (lane, bytes) in block.as_chunks::<8>().0.iter().enumerate() {
            let bytes = u64::from_le_bytes(*bytes);
            let brackets = bytes | splat(KIND);
            let is = |bytes, byte| zeros(bytes ^ splat(byte)) << (8 * lane);
            bits.quotes |= is(bytes, b'"');
            bits.backslashes |= is(bytes, b'\\');
            bits.opens |= is(brackets, b'{');
            bits.closes |= is(brackets, b'}');
        }
        bits
    }
}

/// Eight times the same byte.
#[cfg(not(target_family = "wasm"))]
const fn splat(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// A bit for each of the eight bytes that is zero.
#[cfg(not(target_family = "wasm"))]
const fn zeros(bytes: u64) -> u64 {
    // The highest bit of each byte that is zero.
    let high = !(((bytes & splat(0x7f)) + splat(0x7f)) | bytes | splat(0x7f));
    // They are brought together in the highest byte.
    (high >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Every place at which a container or a string begins, found byte by byte.
    fn places(text: &[u8]) -> Vec<(usize, usize, bool)> {
        let (mut open, mut found, mut string, mut escaped) = (Vec::new(), Vec::new(), None, false);
        for (at, byte) in text.iter().enumerate() {
            match (string, byte) {
                (Some(_), _) if escaped => escaped = false,
                (Some(_), b'\\') => escaped = true,
                (Some(begin), b'"') => {
                    found.push((begin, at, true));
                    string = None;
                }
                (None, b'"') => string = Some(at + 1),
                (None, b'{' | b'[') => open.push(at),
                (None, b'}' | b']') => found.push((open.pop().unwrap(), at + 1, false)),
                _ => {}
            }
        }
        found
    }

    fn random(state: &mut u64, most: u32) -> u32 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(*state >> 33).unwrap() % most
    }

    fn value(state: &mut u64, depth: u32) -> Value {
        match random(state, if depth == 0 { 3 } else { 5 }) {
            0 => random(state, 1000).into(),
            1 => Value::Null,
            2 => {
                let pieces = ["a", "\\", "\"", "[", "}", "ü", "\n", "some longer text"];
                let count = random(state, 12);
                (0..count).map(|_| pieces[random(state, 8) as usize]).collect::<String>().into()
            }
            kind => {
                let count = random(state, 6);
                let items = (0..count).map(|n| (format!("{n}\"{{"), value(state, depth - 1)));
                if kind == 3 { items.map(|(_, item)| item).collect() } else { items.collect() }
            }
        }
    }

    #[test]
    fn containers_and_strings_end_where_they_do_byte_by_byte() {
        let mut state = 1;
        let mut seen = 0;
        for _ in 0..2000 {
            let text = value(&mut state, 5).to_string();
            for (begin, end, is_string) in places(text.as_bytes()) {
                seen += 1;
                if is_string {
                    let has_escape = text[begin..end].contains('\\');
                    assert_eq!(end_of_string(text.as_bytes(), begin), Some((end, has_escape)), "{begin} of {text}");
                } else {
                    assert_eq!(after_container(text.as_bytes(), begin), Some(end), "{begin} of {text}");
                    assert_eq!(after_container(&text.as_bytes()[..end - 1], begin), None, "{begin} of {text}");
                }
            }
        }
        assert!(seen > 5000, "{seen}");
    }
}
