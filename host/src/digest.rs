//! Names bytes by their content.

use std::fmt::{self, Write as _};
use std::io;

use sha2::{Digest as _, Sha256};

/// The SHA-256 of a file. It prints whole, and with `{:.12}` cut short for people.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of all that is read.
    pub fn read(from: &mut impl io::Read) -> io::Result<Self> {
        let mut hasher = Sha256::new();
        io::copy(from, &mut hasher)?;
        Ok(Self(hasher.finalize().into()))
    }

    /// Its 32 bytes, as they are stored.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hex = String::with_capacity(64);
        for byte in self.0 {
            write!(hex, "{byte:02x}")?;
        }
        f.pad(&hex)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
