//! What the documentation says, done and checked.

mod limits;
mod messages;

use std::fs;
use std::path::Path;

use crate::support::documentation::{Place, all_pages, blocks, pages, run};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn page(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap()
}

/// The cells of the rows of all tables on a page.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix('|'));
    rows.map(|row| row.split('|').map(str::trim).collect()).collect()
}

#[test]
fn every_command_that_needs_no_cluster_works() {
    let pages: Vec<_> =
        pages().into_iter().filter(|page| blocks(page).iter().any(|block| block.place == Place::Here)).collect();
    assert!(pages.len() > 2, "{pages:?}");
    for page in pages {
        run(&page, Place::Here, None, &[]);
    }
}

#[test]
fn every_link_leads_to_a_file_or_a_heading_of_one() {
    let mut count = 0;
    for path in all_pages() {
        let text = page(&path);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link);
        // Those of the SDK's page name items as well, for rustdoc.
        let elsewhere = |link: &str| ["://", "::", "@", "("].iter().any(|mark| link.contains(mark));
        for link in links.filter(|link| !elsewhere(link)) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = Path::new(ROOT).join(&path);
            let target = if file.is_empty() { target } else { target.parent().unwrap().join(file) };
            assert!(target.exists(), "{path}: {link}");
            if !heading.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                let headings = text.lines().filter(|line| line.starts_with('#')).map(anchor);
                assert!(headings.into_iter().any(|found| found == heading), "{path}: {link}");
            }
            count += 1;
        }
    }
    assert!(count > 100, "{count}");
}

/// What a heading is linked by.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    words.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
}

#[test]
fn every_page_of_the_documentation_is_in_its_index() {
    let index = page("docs/README.md");
    for path in all_pages() {
        if let Some(name) = path.strip_prefix("docs/").filter(|name| !name.contains('/') && *name != "README.md") {
            assert!(index.contains(&format!("]({name})")), "docs/README.md does not name {name}");
        }
    }
}
