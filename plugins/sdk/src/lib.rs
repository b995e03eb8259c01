#![doc = include_str!("../README.md")]

#[doc(hidden)]
pub mod bindings;
#[doc(hidden)]
pub mod export;
pub mod log;
mod object;
mod outcome;

pub use bindings::oarlock::plugin::cluster;
pub use bindings::oarlock::plugin::types::{Action, Deletion, Description, Event, ObjectRef, Patch, Watch};
pub use object::Object;
pub use outcome::{Failure, Outcome};

use std::fmt;

/// One call: the object to reconcile.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which object.
    pub target: ObjectRef,
    /// The object as it is now. None: it is gone.
    pub object: Option<Object>,
    /// How many calls for this object have failed since the last one that did not.
    pub attempt: u32,
    /// The object has a deletion timestamp and waits for finalizers.
    pub deleting: bool,
}

impl Watch {
    /// All objects of a kind: `Watch::all("apps/v1", "ReplicaSet")`.
    pub fn all(api_version: impl Into<String>, kind: impl Into<String>) -> Self {
        Self {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: None,
            label_selector: None,
            field_selector: None,
        }
    }
}

impl Description {
    /// A plugin of that name and version that watches these objects, owns none and needs no finalizer.
    pub fn new(name: impl Into<String>, version: impl Into<String>, watches: Vec<Watch>) -> Self {
        Self { name: name.into(), version: version.into(), watches, owns: Vec::new(), finalizer: None }
    }
}

/// As `kubectl` names objects within a kind: `NAMESPACE/NAME`, or `NAME` for a cluster-scoped one.
impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

/// Makes a plugin of a function.
///
/// ```
/// use oarlock_sdk::{Description, Failure, Outcome, Request, Watch, reconciler};
///
/// fn reconcile(request: &Request) -> Result<Outcome, Failure> {
///     println!("{} changed", request.target);
///     Ok(Outcome::done())
/// }
///
/// fn describe(settings: Option<&str>) -> Result<Description, String> {
///     if settings.is_some() {
///         return Err("it takes no settings".into());
///     }
///     Ok(Description::new("example", "1.0.0", vec![Watch::all("apps/v1", "ReplicaSet")]))
/// }
///
/// reconciler!(reconcile, describe = describe);
/// ```
///
/// `reconcile` is a `fn(&Request) -> Result<Outcome, Failure>`. `describe` is a
/// `fn(Option<&str>) -> Result<Description, String>` that is given the operator's settings as JSON and says what the
/// plugin watches; without it, the plugin watches all ReplicaSets and takes no settings.
#[macro_export]
macro_rules! reconciler {
    ($reconcile:path) => {
        $crate::reconciler!(
            $reconcile,
            describe = |settings: ::core::option::Option<&str>| {
                $crate::export::default_description(settings, env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
            }
        );
    };
    ($reconcile:path, describe = $describe:expr) => {
        const _: () = {
            struct Plugin;

            impl $crate::bindings::Guest for Plugin {
                fn describe(settings: Option<String>) -> Result<$crate::Description, String> {
                    ($describe)(settings.as_deref())
                }

                fn reconcile(
                    request: $crate::bindings::Request,
                ) -> Result<$crate::bindings::Outcome, $crate::bindings::Failure> {
                    $crate::export::call(request, $reconcile)
                }
            }

    $crate::bindings::export!(Plugin with_types_in $crate::bindings);
        };
    };
}
