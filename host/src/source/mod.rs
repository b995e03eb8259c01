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

/// For how long objects are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// Until all that there are have been told of. What is refused is not waited for.
    Once,
    /// For ever, whatever happens.
    Forever,
}
