;;! call: it answers or passes to the host more than 4.00 MiB
;; A million actions in memory that was never written, each to apply nothing.
(func (export "reconcile") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
  (i32.store (i32.const 4104) (i32.mul (memory.grow (i32.const 800)) (i32.const 65536)))
  (i32.store (i32.const 4108) (i32.const 1000000))
  (i32.const 4096))
