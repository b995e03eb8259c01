//! `docs/benchmarks.md`: its prose is written by people, its figures by the benchmarks.

use std::fs;
use std::path::{Path, PathBuf};

/// Puts a text between the lines `<!-- bench: NAME -->` and `<!-- end -->` of the page, in place of what is there.
pub(crate) fn replace(name: &str, markdown: &str) {
    let path = docs().join("benchmarks.md");
    let page = fs::read_to_string(&path).unwrap();
    let page = replaced(&page, name, markdown);
    let page = page.unwrap_or_else(|| panic!("docs/benchmarks.md has no place for `{name}`"));
    fs::write(path, page).unwrap();
}

/// Writes a picture that the page shows, `docs/images/NAME`.
pub(crate) fn write_image(name: &str, text: &str) {
    fs::write(docs().join("images").join(name), text).unwrap();
}

/// In the nearest folder above the package that has the page.
fn docs() -> PathBuf {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    above
        .map(|folder| folder.join("docs"))
        .find(|docs| docs.join("benchmarks.md").exists())
        .expect("docs/benchmarks.md")
}

fn replaced(page: &str, name: &str, markdown: &str) -> Option<String> {
    let begin = format!("<!-- bench: {name} -->\n");
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once("<!-- end -->\n")?;
    Some(format!("{before}{begin}\n{}\n\n<!-- end -->\n{after}", markdown.trim()))
}
