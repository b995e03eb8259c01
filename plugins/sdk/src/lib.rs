#![doc = include_str!("../README.md")]

#[doc(hidden)]
pub mod bindings;
pub mod cluster;
mod describe;
#[doc(hidden)]
pub mod export;
mod json;
pub mod log;
mod object;
mod object_ref;
mod outcome;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

/// So that what it shows is compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/writing-plugins.md")]
mod writing_plugins {}

pub use bindings::oarlock::plugin::types::{Action, Deletion, Description, Event, ObjectRef, Patch, Watch};
pub use object::Object;
pub use outcome::{Failure, Outcome};
pub use serde_json::{Value, json, to_value};

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

/// Makes a plugin of a function, a `fn(&Request) -> Result<Outcome, Failure>`.
///
/// Alone, `reconciler!(reconcile)` is a plugin that watches all ReplicaSets and takes no settings. One that watches
/// something else says so with `description`, a [`Description`]:
///
/// ```
/// use oarlock_sdk::{Description, Failure, Outcome, Request, Watch, reconciler};
///
/// fn reconcile(request: &Request) -> Result<Outcome, Failure> {
///     println!("{} changed", request.target);
///     Ok(Outcome::done())
/// }
///
/// reconciler!(
///     reconcile,
///     description = Description::new("example", "1.0.0", vec![Watch::all("v1", "ConfigMap").labels("app=web")])
/// );
/// ```
///
/// One that takes settings gives a function in its place, `describe`, a
/// `fn(Option<&str>) -> Result<Description, String>`. It is called with the operator's settings as JSON, in each
/// instance before the first reconcile, so that it can keep them. An error keeps the plugin out of force, and the
/// operator is shown it.
///
/// ```
/// use std::sync::OnceLock;
///
/// use oarlock_sdk::{Description, Failure, Outcome, Request, Watch, reconciler};
///
/// static GREETING: OnceLock<String> = OnceLock::new();
///
/// fn describe(settings: Option<&str>) -> Result<Description, String> {
///     let greeting = serde_json::from_str(settings.unwrap_or(r#""hello""#)).map_err(|error| error.to_string())?;
///     GREETING.get_or_init(|| greeting);
///     Ok(Description::new("example", "1.0.0", vec![Watch::all("v1", "ConfigMap")]))
/// }
///
/// fn reconcile(request: &Request) -> Result<Outcome, Failure> {
///     println!("{} {}", GREETING.get().map_or("", String::as_str), request.target);
///     Ok(Outcome::done())
/// }
///
/// reconciler!(reconcile, describe = describe);
/// ```
#[macro_export]
macro_rules! reconciler {
    ($reconcile:path) => {
        $crate::reconciler!(
            $reconcile,
            description = $crate::Description::new(
                env!("CARGO_PKG_NAME"),
                env!("CARGO_PKG_VERSION"),
                ::std::vec![$crate::Watch::all("apps/v1", "ReplicaSet")]
            )
        );
    };
    ($reconcile:path, description = $description:expr $(,)?) => {
        $crate::reconciler!(
            $reconcile,
            describe =
                |settings: ::core::option::Option<&str>| $crate::export::without_settings(settings, $description)
        );
    };
    ($reconcile:path, describe = $describe:expr $(,)?) => {
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
