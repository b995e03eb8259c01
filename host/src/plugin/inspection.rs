//! A look at the bytes of a plugin: what they are, what they need, and what may be wrong with them.

use std::time::{Duration, Instant};

use super::advice;
use super::anatomy::{Anatomy, Import};
use super::compile;

/// What is seen of a file without running it.
#[derive(Debug, Default)]
pub struct Inspection {
    /// None: it is no WebAssembly, or not whole.
    pub anatomy: Option<Anatomy>,
    /// What it imports: the interfaces of the component that it is, or is made into; the items of a module that cannot be
    /// made one.
    pub imports: Vec<Import>,
    /// Those of them that the host does not have.
    pub missing: Vec<Import>,
    /// How long it takes to make a component of it. None: it is one, or cannot be made one.
    pub componentizing: Option<Duration>,
    /// What may be wrong, and what to do about it, a sentence each.
    pub advice: Vec<String>,
}

impl Inspection {
    /// Looks at the bytes of a file, which makes a component of them. How long that takes, and how much memory, is not
    /// bounded: it is for files that were loaded, or refused by the compiler.
    pub fn of(bytes: &[u8]) -> Self {
        if !bytes.starts_with(b"\0asm") {
            return Self { advice: advice::on_foreign(bytes).into_iter().collect(), ..Self::default() };
        }
        let Ok(anatomy) = Anatomy::of(bytes) else { return Self::default() };
        let begin = Instant::now();
        let component = compile::component(bytes).ok();
        let componentizing = component.as_ref().filter(|_| !anatomy.is_component).map(|_| begin.elapsed());
        let inner = component.and_then(|component| Anatomy::of(&component).ok());
        let advice = advice::on(&anatomy, bytes.len());
        let imports = inner.map_or_else(|| anatomy.imports.clone(), |inner| inner.imports);
        let missing = imports.iter().filter(|import| !import.is_provided()).cloned().collect();
        Self { imports, missing, componentizing, advice, anatomy: Some(anatomy) }
    }
}
