//! What the documentation says, done.

use crate::support::documentation::{Place, blocks, pages, run};

#[test]
fn every_command_that_needs_no_cluster_works() {
    let pages: Vec<_> =
        pages().into_iter().filter(|page| blocks(page).iter().any(|block| block.place == Place::Here)).collect();
    assert!(pages.len() > 2, "{pages:?}");
    for page in pages {
        run(&page, Place::Here, None, &[]);
    }
}
