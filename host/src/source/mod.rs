//! Where objects come from.

pub mod cluster;
pub mod manifests;

use crate::selector::LabelSelector;

/// Which objects.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// None: those of all namespaces.
    pub namespace: Option<String>,
    /// By their labels.
    pub labels: LabelSelector,
}
