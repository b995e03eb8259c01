;;! call: it trapped: wasm trap: wasm `unreachable`
(func (export "reconcile") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 4096))
(func (export "cabi_post_reconcile") (param i32) (unreachable))
