//! What the documentation says of clusters, done.

use crate::control_plane::ControlPlane;
use crate::support::deploy;
use crate::support::documentation::{Place, blocks, pages, run};

#[test]
fn every_command_that_needs_a_cluster_works() {
    let pages: Vec<_> =
        pages().into_iter().filter(|page| blocks(page).iter().any(|block| block.place == Place::Cluster)).collect();
    assert!(!pages.is_empty());
    for page in pages {
        let cluster = ControlPlane::start_all();
        run(&page, Place::Cluster, Some(deploy::tools()), &[("KUBECONFIG", &cluster.kubeconfig())]);
    }
}
