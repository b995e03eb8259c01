;;! call: it answers or passes to the host more than 4.00 MiB
;; A thousand actions, each to apply the same 128 KiB.
(func (export "reconcile") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
  (local $action i32)
  (local.set $action (i32.const 8192))
  (loop $next
    (i32.store (i32.add (local.get $action) (i32.const 4)) (i32.const 131072))
    (i32.store (i32.add (local.get $action) (i32.const 8)) (i32.const 131072))
    (local.set $action (i32.add (local.get $action) (i32.const 52)))
    (br_if $next (i32.lt_u (local.get $action) (i32.const 60192))))
  (i32.store (i32.const 4104) (i32.const 8192))
  (i32.store (i32.const 4108) (i32.const 1000))
  (i32.const 4096))
