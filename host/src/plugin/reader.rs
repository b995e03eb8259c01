//! How a guest reads the cluster.

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::object::{Object, ObjectRef};
use crate::selector::Selection;

/// Answers what a guest reads in one call. An error is told to the guest, as a text for people.
pub trait Reader: Send + Sync {
    /// One object. None: there is none of that name.
    fn get(&self, target: ObjectRef) -> BoxFuture<'_, Result<Option<Arc<Object>>, String>>;

    /// All objects that are selected, in the order of namespace and name.
    fn list(&self, selection: Selection) -> BoxFuture<'_, Result<Vec<Arc<Object>>, String>>;
}
