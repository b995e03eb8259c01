;;! call: it trapped: wasm trap: wasm `unreachable`
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (unreachable))
(func (export "reconcile") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 4096))
