;;! call: it answers or passes to the host more than 4.00 MiB
(import "oarlock:plugin/log@0.1.0" "log" (func $log (param i32 i32 i32)))
(func (export "reconcile") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
  (drop (memory.grow (i32.const 100)))
  (call $log (i32.const 1) (i32.const 0) (i32.const 5000000))
  (i32.const 4096))
