//! Makes inputs of other inputs, the same ones for the same seed.

use fastrand::Rng;

/// What parsers trip over.
const TOKENS: [&[u8]; 32] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b":",
    b",",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"null",
    b"true",
    b"1e999",
    b"-0",
    b"\"metadata\":",
    b"\"managedFields\":",
    b"\"name\":",
    b"\"kind\":\"List\"",
    b"\"items\":[",
    b"\n---\n",
    b"\n",
    b"  ",
    b"- ",
    b"&a ",
    b"*a",
    b"!!binary ",
    b"|\n",
    b"#",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\0",
    b"\x80\x80\x80\x80\x10",
];

/// An input that is near to some of these.
pub(crate) fn mutation(inputs: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut random = Rng::with_seed(seed);
    let mut bytes = inputs[random.usize(..inputs.len())].clone();
    for _ in 0..=random.usize(..4) {
        let at = random.usize(..=bytes.len());
        let end = (at + random.usize(..=16)).min(bytes.len());
        match random.u8(..7) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => insert(&mut bytes, at, TOKENS[random.usize(..TOKENS.len())]),
            3 => {
                let other = &inputs[random.usize(..inputs.len())];
                let from = random.usize(..=other.len());
                let to = (from + random.usize(..=64)).min(other.len());
                insert(&mut bytes, at, &other[from..to]);
            }
            // A piece of it once more, so that names are there twice.
            4 => {
                let piece = bytes[at..end].to_vec();
                let to = random.usize(..=bytes.len());
                insert(&mut bytes, to, &piece);
            }
            5 if at < bytes.len() => bytes[at] ^= 1 << random.u8(..8),
            _ if at < bytes.len() => bytes[at] = random.u8(..),
            _ => {}
        }
    }
    bytes
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    drop(bytes.splice(at..at, piece.iter().copied()));
}
