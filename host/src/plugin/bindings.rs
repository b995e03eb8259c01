//! The host's side of `wit/oarlock.wit`, generated; the only `bindgen!` of the host.

#![allow(missing_docs, reason = "the documentation of what is generated here stands in wit/oarlock.wit")]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "reconciler",
    imports: { default: async },
    exports: { default: async },
    // The object's JSON goes from the cache into the guest without a copy in between.
    ownership: Borrowing { duplicate_if_necessary: true },
});
