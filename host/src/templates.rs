//! What a new plugin begins with: the files of its folder, by language. All of them are in the program.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use include_dir::{Dir, DirEntry, File, include_dir};

use crate::names;

static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");
/// The SDK is in no registry, so that each project has a copy.
static SDK_SOURCE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../plugins/sdk/src");
const SDK_README: &str = include_str!("../../plugins/sdk/README.md");
const SDK_MANIFEST: &str = include_str!("../../plugins/sdk/Cargo.toml");
/// What the manifest of the SDK takes from its workspace.
const WORKSPACE: &str = include_str!("../../Cargo.toml");
/// The versions that this repository is tested with. The first build of a project leaves in its copy what it needs.
const LOCK: &str = include_str!("../../Cargo.lock");
/// How this repository has plugins linked.
const CARGO_CONFIG: &str = include_str!("../../.cargo/config.toml");
const CONTRACT: &str = include_str!("../../wit/oarlock.wit");

/// What a plugin is written in, and as what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Rust, with the SDK.
    Rust,
    /// An ordinary Rust program, which prints.
    RustCommand,
    /// Python, made a component by componentize-py.
    Python,
    /// An ordinary C program, which prints.
    C,
}

impl Language {
    fn template(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::RustCommand => "rust-command",
            Self::Python => "python",
            Self::C => "c",
        }
    }
}

/// Names that a Rust project cannot have, or not without trouble: what `cargo new` refuses or warns of.
#[rustfmt::skip]
const TAKEN: &[&str] = &[
    // Keywords, with those that are reserved.
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod",
    "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true",
    "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
    // Crates that come with Rust.
    "alloc", "core", "proc-macro", "std", "test",
    // Folders of cargo's within `target`.
    "build", "deps", "examples", "incremental",
];

/// Whether a plugin can be called that in every language. An error says, for people, what is wrong.
pub fn check_name(name: &str) -> Result<(), String> {
    if !names::is_label(name) || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err(format!(
            "`{name}` is no name for a plugin: expected at most 63 lower-case letters, digits and `-`, with a letter first"
        ));
    }
    if name == "oarlock-sdk" {
        return Err("the SDK has that name".to_owned());
    }
    if TAKEN.contains(&name) {
        return Err(format!("`{name}` is no name for a plugin: Rust or cargo takes it for something else"));
    }
    Ok(())
}

/// The files of a new plugin: their paths from its folder on, and what is in them.
pub fn files(language: Language, name: &str) -> Vec<(PathBuf, String)> {
    let template = language.template();
    let mut files = Vec::new();
    for file in all(&TEMPLATES) {
        let place = file.path().strip_prefix(template).or_else(|_| file.path().strip_prefix("shared"));
        if let Ok(path) = place {
            let path = if path == Path::new("grant.yaml") { format!("{name}.yaml").into() } else { path.to_owned() };
            let text = text(file).replace("{{name}}", name).replace("{{crate}}", &name.replace('-', "_"));
            files.push((path, text));
        }
    }
    if matches!(language, Language::Rust | Language::RustCommand) {
        files.push(("Cargo.lock".into(), LOCK.to_owned()));
        files.push((".cargo/config.toml".into(), CARGO_CONFIG.to_owned()));
    }
    match language {
        Language::Rust => {
            let sdk = sdk().into_iter().map(|(path, text)| (Path::new("oarlock-sdk").join(path), text));
            files.extend(sdk);
        }
        Language::Python => files.push(("wit/oarlock.wit".into(), CONTRACT.to_owned())),
        Language::RustCommand | Language::C => {}
    }
    files
}

/// The SDK, to be used by a path.
fn sdk() -> Vec<(PathBuf, String)> {
    let source = all(&SDK_SOURCE).into_iter().map(|file| (Path::new("src").join(file.path()), text(file).to_owned()));
    let others = [
        ("Cargo.toml", standalone(SDK_MANIFEST, WORKSPACE)),
        ("README.md", SDK_README.to_owned()),
        ("wit/oarlock.wit", CONTRACT.to_owned()),
    ];
    source.chain(others.map(|(path, text)| (path.into(), text))).collect()
}

/// The manifest of a member of a workspace as it is outside of that, for who only builds it.
fn standalone(manifest: &str, workspace: &str) -> String {
    let built = manifest.split("\n[dev-dependencies]").next().unwrap_or_default();
    let inherited = |line: &str| {
        let key = line.strip_suffix(".workspace = true")?;
        workspace.lines().find(|line| line.split(" = ").next() == Some(key))
    };
    built.lines().flat_map(|line| [inherited(line).unwrap_or(line), "\n"]).collect()
}

fn all<'a>(folder: &'a Dir<'a>) -> Vec<&'a File<'a>> {
    let files = |entry: &'a DirEntry<'a>| match entry {
        DirEntry::Dir(folder) => all(folder),
        DirEntry::File(file) => vec![file],
    };
    folder.entries().iter().flat_map(files).collect()
}

fn text<'a>(file: &'a File<'a>) -> &'a str {
    file.contents_utf8().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_good_for_a_file_a_crate_and_a_field_manager() {
        for name in ["web", "copy-config", "a1"] {
            assert_eq!(check_name(name), Ok(()));
        }
        for name in ["", "Web", "a_b", "1a", "-a", "a-", "a.b", "a/b", "é", "oarlock-sdk", &"a".repeat(64)] {
            assert!(check_name(name).is_err(), "{name}");
        }
        for name in ["fn", "self", "core", "proc-macro", "test", "build", "incremental"] {
            assert!(check_name(name).unwrap_err().contains("takes it for something else"), "{name}");
        }
    }

    #[test]
    fn each_language_has_its_files_with_the_name_filled_in() {
        for language in Language::value_variants() {
            let files = files(*language, "my-plugin");
            let paths: Vec<_> = files.iter().map(|(path, _)| path.to_str().unwrap()).collect();
            for path in ["README.md", "sample.yaml", "expected.yaml", ".gitignore"] {
                assert_eq!(
                    paths.iter().filter(|other| **other == path).count(),
                    1,
                    "{language:?}: {path} in {paths:?}"
                );
            }
            for (path, text) in files.iter().filter(|(path, _)| !path.starts_with("oarlock-sdk")) {
                assert!(!text.is_empty() && !text.contains("{{"), "{language:?}: {}", path.display());
            }
        }
    }

    #[test]
    fn the_copy_of_the_sdk_stands_alone() {
        let manifest = standalone(SDK_MANIFEST, WORKSPACE);
        assert!(!manifest.contains("workspace") && !manifest.contains("dev-dependencies"), "{manifest}");
        let version = concat!("version = \"", env!("CARGO_PKG_VERSION"), "\"\n");
        let edition = "edition = \"2024\"\n";
        assert!(manifest.contains(version) && manifest.contains(edition), "{manifest}");
    }

    #[test]
    fn versions_are_those_of_this_repository() {
        let makefile = include_str!("../../Makefile");
        let template = |path: &str| text(TEMPLATES.get_file(path).unwrap());
        let wanted = makefile.lines().find_map(|line| line.strip_prefix("COMPONENTIZE_PY := ")).unwrap();
        assert!(template("python/Makefile").contains(&format!("componentize-py=={wanted}\n")));
        let edition = WORKSPACE.lines().find(|line| line.starts_with("edition = ")).unwrap();
        let json = SDK_MANIFEST.lines().find(|line| line.starts_with("serde_json = ")).unwrap();
        for (path, line) in
            [("rust/Cargo.toml", edition), ("rust-command/Cargo.toml", edition), ("rust-command/Cargo.toml", json)]
        {
            assert!(template(path).lines().any(|other| other == line), "{path}: {line}");
        }
        let rust = WORKSPACE.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
        for page in [template("rust/README.md"), include_str!("../../docs/quick-start.md")] {
            assert!(page.contains(&format!("Rust {rust} or newer")), "{rust}: {page}");
        }
    }
}
