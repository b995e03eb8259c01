;;! call: action 1 that the plugin answered is wrong
;; Hands over a text or a list wherever there can be one. `tests/fast/handed_over.rs` breaks them one by one.
(import "oarlock:plugin/log@0.1.0" "log" (func $log (param i32 i32 i32)))
(import "oarlock:plugin/cluster@0.1.0" "get" (func $get (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
(import "oarlock:plugin/cluster@0.1.0" "list"
  (func $list (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
;; At 1280 v1, 1284 ConfigMap, 1296 default, 1304 app=a, 1312 metadata.name=a, 1328 a, 1332 {}; at 1344 what is not UTF-8.
(data (i32.const 1280) "v1\00\00ConfigMap\00\00\00default\00app=a\00\00\00metadata.name=a\00a\00\00\00{}")
(data (i32.const 1344) "\ff\fe\c0\80")

;; The answer of `describe`: `ok`, name, version, watches, owns, no finalizer but its text.
(data (i32.const 3072) "\00\00\00\00" "\00\04\00\00\04\00\00\00" "\00\04\00\00\04\00\00\00"
  "\80\0c\00\00\01\00\00\00" "\c0\0c\00\00\01\00\00\00" "\00\00\00\00" "\00\05\00\00\02\00\00\00")
;; The watch, at 3200: apps/v1 ReplicaSet in default, app=a, metadata.name=a.
(data (i32.const 3200) "\00\04\00\00\07\00\00\00" "\07\04\00\00\0a\00\00\00" "\01\00\00\00" "\10\05\00\00\07\00\00\00"
  "\01\00\00\00" "\18\05\00\00\05\00\00\00" "\01\00\00\00" "\20\05\00\00\0f\00\00\00")
;; What it owns, at 3264: v1 ConfigMap.
(data (i32.const 3264) "\00\05\00\00\02\00\00\00" "\04\05\00\00\09\00\00\00")
(func (export "describe") (param i32 i32 i32) (result i32) (i32.const 3072))

;; The answer of `reconcile`: `ok`, six actions at 8192, and a child at 12288. As a failure, its text is at 4108.
(data (i32.const 4096) "\00\00\00\00\00\00\00\00" "\00\20\00\00\06\00\00\00" "\01\00\00\00" "\00\30\00\00\01\00\00\00")
(data (i32.const 8192) "\00\00\00\00" "\34\05\00\00\02\00\00\00")
(data (i32.const 8244) "\01\00\00\00" "\34\05\00\00\02\00\00\00")
(data (i32.const 8296) "\02\00\00\00" "\00\05\00\00\02\00\00\00" "\04\05\00\00\09\00\00\00" "\01\00\00\00"
  "\10\05\00\00\07\00\00\00" "\30\05\00\00\01\00\00\00" "\34\05\00\00\02\00\00\00")
(data (i32.const 8348) "\03\00\00\00" "\00\05\00\00\02\00\00\00" "\04\05\00\00\09\00\00\00" "\01\00\00\00"
  "\10\05\00\00\07\00\00\00" "\30\05\00\00\01\00\00\00" "\34\05\00\00\02\00\00\00")
(data (i32.const 8400) "\04\00\00\00" "\00\05\00\00\02\00\00\00" "\04\05\00\00\09\00\00\00" "\01\00\00\00"
  "\10\05\00\00\07\00\00\00" "\30\05\00\00\01\00\00\00" "\01\00\00\00" "\30\05\00\00\01\00\00\00")
(data (i32.const 8452) "\05\00\00\00" "\30\05\00\00\01\00\00\00" "\30\05\00\00\01\00\00\00")
(data (i32.const 12288) "\34\05\00\00\02\00\00\00")

;; What it reads where 14592 is 1, by name, from 14336 on; where it is 2, by selectors, from 14400 on. Where it is 3, it
;; logs what 14464 says.
(data (i32.const 14336) "\00\05\00\00\02\00\00\00" "\04\05\00\00\09\00\00\00" "\01\00\00\00" "\10\05\00\00\07\00\00\00"
  "\30\05\00\00\01\00\00\00")
(data (i32.const 14400) "\00\05\00\00\02\00\00\00" "\04\05\00\00\09\00\00\00" "\01\00\00\00" "\10\05\00\00\07\00\00\00"
  "\01\00\00\00" "\18\05\00\00\05\00\00\00" "\01\00\00\00" "\20\05\00\00\0f\00\00\00")
(data (i32.const 14464) "\30\05\00\00\01\00\00\00")
(func (export "reconcile") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
  (if (i32.eq (i32.load (i32.const 14592)) (i32.const 1))
    (then (call $get
      (i32.load (i32.const 14336)) (i32.load (i32.const 14340))
      (i32.load (i32.const 14344)) (i32.load (i32.const 14348))
      (i32.load (i32.const 14352)) (i32.load (i32.const 14356)) (i32.load (i32.const 14360))
      (i32.load (i32.const 14364)) (i32.load (i32.const 14368))
      (i32.const 14600))))
  (if (i32.eq (i32.load (i32.const 14592)) (i32.const 2))
    (then (call $list
      (i32.load (i32.const 14400)) (i32.load (i32.const 14404))
      (i32.load (i32.const 14408)) (i32.load (i32.const 14412))
      (i32.load (i32.const 14416)) (i32.load (i32.const 14420)) (i32.load (i32.const 14424))
      (i32.load (i32.const 14428)) (i32.load (i32.const 14432)) (i32.load (i32.const 14436))
      (i32.load (i32.const 14440)) (i32.load (i32.const 14444)) (i32.load (i32.const 14448))
      (i32.const 14600))))
  (if (i32.eq (i32.load (i32.const 14592)) (i32.const 3))
    (then (call $log (i32.const 1) (i32.load (i32.const 14464)) (i32.load (i32.const 14468)))))
  (i32.const 4096))
