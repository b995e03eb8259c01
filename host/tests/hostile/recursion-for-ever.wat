;;! call: it trapped: wasm trap: call stack exhausted
(func $again (param i32) (result i32) (i32.add (call $again (local.get 0)) (i32.const 1)))
(func (export "reconcile") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
  (call $again (i32.const 0)))
