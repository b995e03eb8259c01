;;! call: it trapped: 
(import "oarlock:plugin/log@0.1.0" "log" (func $log (param i32 i32 i32)))
(func (export "reconcile") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
  (call $log (i32.const 1) (i32.const 0x7fffffff) (i32.const 100))
  (i32.const 4096))
