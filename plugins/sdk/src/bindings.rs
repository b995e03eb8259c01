//! The guest's side of `wit/oarlock.wit`, generated.

#![allow(
    missing_docs,
    unsafe_code,
    clippy::all,
    clippy::pedantic,
    reason = "generated; the documentation stands in wit/oarlock.wit"
)]

wit_bindgen::generate!({
    path: "wit",
    world: "reconciler",
    pub_export_macro: true,
    export_macro_name: "export",
    // For the tests of plugins.
    additional_derives: [PartialEq, Eq],
});
