//! Reads of the cluster, answered from the host's cache, and only of what the grant lists.
//!
//! A change to what a call has read reconciles its target again: to the object of a [`get`], appearing and going away
//! included, and to which objects a [`list`] selects and what they hold. A call need not come back to look.
//!
//! ```no_run
//! use oarlock_sdk::{Failure, ObjectRef, Watch, cluster};
//!
//! fn replicas() -> Result<Option<u32>, Failure> {
//!     let web = ObjectRef::new("apps/v1", "Deployment", "web").in_namespace("shop");
//!     cluster::get(&web)?.map(|deployment| deployment.at("/spec/replicas")).transpose()
//! }
//!
//! fn teams() -> Result<usize, Failure> {
//!     Ok(cluster::list(&Watch::all("v1", "Namespace").labels("team"))?.len())
//! }
//! ```
//!
//! What cannot be read is a [`Failure::Retry`] that says why. What is not granted fails the call for good, whatever the plugin
//! makes of it: another grant makes the host call again.

#[cfg(target_family = "wasm")]
use crate::bindings::oarlock::plugin::cluster as host;
#[cfg(not(target_family = "wasm"))]
use crate::testing::world as host;
use crate::{Failure, Object, ObjectRef, Watch};

/// One object. None: there is none of that name.
pub fn get(target: &ObjectRef) -> Result<Option<Object>, Failure> {
    let object = host::get(target).map_err(Failure::Retry)?;
    Ok(object.map(Object::new))
}

/// All objects selected, in the order of namespace and name.
pub fn list(selection: &Watch) -> Result<Vec<Object>, Failure> {
    let objects = host::list(selection).map_err(Failure::Retry)?;
    Ok(objects.into_iter().map(Object::new).collect())
}
