;;! call: error 1
;; It wants a socket, and answers, as a failure that is not to be tried again, which error it got: 1 is access-denied.
(import "wasi:sockets/tcp-create-socket@0.2.0" "create-tcp-socket" (func $create (param i32 i32)))
(data (i32.const 4096) "\01\00\00\00\00\00\00\00" "\01\00\00\00\00\21\00\00\07\00\00\00")
(data (i32.const 8448) "socket ")
(func (export "reconcile") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
  (call $create (i32.const 0) (i32.const 8704))
  (if (i32.load8_u (i32.const 8704))
    (then
      (i64.store (i32.const 8448) (i64.const 0x20726f727265)) ;; "error "
      (i32.store8 (i32.const 8454) (i32.add (i32.const 48) (i32.load8_u (i32.const 8708))))))
  (i32.const 4096))
