;;! call: it ran for more than
(import "oarlock:plugin/log@0.1.0" "log" (func $log (param i32 i32 i32)))
(func (export "reconcile") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
  (loop (call $log (i32.const 1) (i32.const 1024) (i32.const 100)) (br 0))
  (unreachable))
