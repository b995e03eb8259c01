//! What can be seen of a plugin without running it. Pure.

use std::fmt;

use wasmparser::{ComponentTypeRef, Encoding, Parser, Payload};

/// The interfaces of the contract begin so, before their own name and `@` and the version.
const CONTRACT: &str = "oarlock:plugin/";

/// The packages of WASI 0.2 that the host has.
const PACKAGES: [&str; 6] = ["wasi:cli", "wasi:clocks", "wasi:filesystem", "wasi:io", "wasi:random", "wasi:sockets"];

/// What the bytes of a WebAssembly file consist of, as far as it tells what they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anatomy {
    /// Whether it is a component, and no core module.
    pub is_component: bool,
    /// What it imports. Of a component these are interfaces, whose items have no names here.
    pub imports: Vec<Import>,
    /// The names of what it exports.
    pub exports: Vec<String>,
    /// The names of its custom sections, and how many bytes they have.
    pub sections: Vec<(String, usize)>,
}

/// Something that has to be there for a module or component to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The module or the interface.
    pub from: String,
    /// Which item of it. Empty for a component, which imports interfaces whole.
    pub item: String,
}

/// What is run of a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// It exports the world `reconciler`, and answers calls.
    Reconciler,
    /// It is a program with a `main`, run anew for each call.
    Command,
}

impl Anatomy {
    /// What there is in these bytes. An error says, for people, why they are no WebAssembly, or not all of it.
    pub fn of(bytes: &[u8]) -> Result<Self, String> {
        Self::parse(bytes).map_err(|error| error.to_string())
    }

    fn parse(bytes: &[u8]) -> Result<Self, wasmparser::BinaryReaderError> {
        let mut found = Self { is_component: false, imports: Vec::new(), exports: Vec::new(), sections: Vec::new() };
        // A component has modules and components inside, whose imports are its own matter.
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::Version { encoding, .. } if depth == 0 => {
                    found.is_component = encoding == Encoding::Component;
                    depth = 1;
                }
                Payload::Version { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::CustomSection(section) => {
                    found.sections.push((section.name().to_owned(), section.data().len()));
                }
                Payload::ImportSection(imports) if depth == 1 => {
                    for import in imports.into_imports() {
                        let import = import?;
                        let (from, item) = (import.module.to_owned(), import.name.to_owned());
                        found.imports.push(Import { from, item });
                    }
                }
                Payload::ExportSection(exports) if depth == 1 => {
                    for export in exports {
                        found.exports.push(export?.name.to_owned());
                    }
                }
                Payload::ComponentImportSection(imports) if depth == 1 => {
                    for import in imports {
                        let import = import?;
                        // A type is only given a name by that.
                        if !matches!(import.ty, ComponentTypeRef::Type(_)) {
                            found.imports.push(Import { from: import.name.name.to_owned(), item: String::new() });
                        }
                    }
                }
                Payload::ComponentExportSection(exports) if depth == 1 => {
                    for export in exports {
                        found.exports.push(export?.name.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// What would be run of it. None: there is nothing that the host knows how to run.
    pub fn style(&self) -> Option<Style> {
        let exports = |name: &str| self.exports.iter().any(|export| export == name);
        let carries_world = self.sections.iter().any(|(name, _)| name.starts_with("component-type"));
        if self.is_component {
            let is_command = self.exports.iter().any(|name| name.starts_with("wasi:cli/run@"));
            let is_reconciler = exports("describe") && exports("reconcile");
            return is_command.then_some(Style::Command).or_else(|| is_reconciler.then_some(Style::Reconciler));
        }
        carries_world.then_some(Style::Reconciler).or_else(|| exports("_start").then_some(Style::Command))
    }

    /// The version of the contract that it was made for, as far as that can be seen.
    pub fn contract(&self) -> Option<&str> {
        let imported = self.imports.iter().find_map(|import| import.from.strip_prefix(CONTRACT)?.split_once('@'));
        // As wit-bindgen names the section: `component-type:wit-bindgen:0.60.0:oarlock:plugin@0.1.0:reconciler:...`.
        let named = || self.sections.iter().find_map(|(name, _)| name.split_once("oarlock:plugin@"));
        imported.or_else(named).map(|(_, version)| version.split(':').next().unwrap_or(version))
    }

    /// How many bytes of it are for debuggers.
    pub fn debug_bytes(&self) -> usize {
        self.sections.iter().filter(|(name, _)| name.starts_with(".debug_")).map(|(_, size)| size).sum()
    }
}

impl Style {
    /// In one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reconciler => "reconciler",
            Self::Command => "command",
        }
    }
}

impl Import {
    /// Whether it is an interface, or an item of one.
    pub fn is_interface(&self) -> bool {
        self.from.contains(':')
    }

    /// Whether a plugin gets it: from the host, from the adapter that a module for WASI 0.1 is wrapped in, or from what
    /// makes a component of it.
    pub fn is_provided(&self) -> bool {
        if self.from == "wasi_snapshot_preview1" || ["[export]", "$root"].iter().any(|own| self.from.starts_with(own)) {
            return true;
        }
        let named = self.from.split_once('@').and_then(|(name, version)| Some((name.split_once('/')?, version)));
        named.is_some_and(|((package, interface), version)| match package {
            "oarlock:plugin" => version.starts_with("0.1.") && ["types", "log", "cluster"].contains(&interface),
            _ => version.starts_with("0.2.") && PACKAGES.contains(&package),
        })
    }
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.from)?;
        if self.item.is_empty() { Ok(()) } else { write!(f, ".{}", self.item) }
    }
}
