;;! call: it trapped: invalid utf-8
;; One action, at 8192: to apply the 4 bytes at 8448.
(data (i32.const 4104) "\00\20\00\00\01\00\00\00")
(data (i32.const 8192) "\00\00\00\00" "\00\21\00\00\04\00\00\00")
(data (i32.const 8448) "\ff\fe\c0\80")
(func (export "reconcile") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 4096))
