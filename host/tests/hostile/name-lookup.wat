;;! call: error D
;; It looks up a name, and answers, as a failure that is not to be tried again, which error it got: D is 20 after 0 among
;; the characters, and permanent-resolver-failure.
(import "wasi:sockets/instance-network@0.2.0" "instance-network" (func $network (result i32)))
(import "wasi:sockets/ip-name-lookup@0.2.0" "resolve-addresses" (func $resolve (param i32 i32 i32 i32)))
(data (i32.const 4096) "\01\00\00\00\00\00\00\00" "\01\00\00\00\00\21\00\00\07\00\00\00")
(data (i32.const 8448) "stream ")
(data (i32.const 8512) "localhost")
(func (export "reconcile") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
  (call $resolve (call $network) (i32.const 8512) (i32.const 9) (i32.const 8704))
  (if (i32.load8_u (i32.const 8704))
    (then
      (i64.store (i32.const 8448) (i64.const 0x20726f727265)) ;; "error "
      (i32.store8 (i32.const 8454) (i32.add (i32.const 48) (i32.load8_u (i32.const 8708))))))
  (i32.const 4096))
