;;! call: it trapped: unknown handle
;; It opens /etc/passwd in a folder that it has never been given.
(import "wasi:filesystem/types@0.2.0" "[method]descriptor.open-at"
  (func $open (param i32 i32 i32 i32 i32 i32 i32)))
(data (i32.const 8448) "etc/passwd")
(func (export "reconcile") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
  (call $open (i32.const 1) (i32.const 0) (i32.const 8448) (i32.const 10) (i32.const 0) (i32.const 1) (i32.const 8704))
  (i32.const 4096))
