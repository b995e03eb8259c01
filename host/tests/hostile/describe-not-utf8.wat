;;! start: it trapped: invalid utf-8
;; As the prelude's, but for the name, which is the 4 bytes at 3328.
(data (i32.const 3072) "\00\00\00\00" "\00\0d\00\00\04\00\00\00" "\00\04\00\00\04\00\00\00" "\00\09\00\00\01\00\00\00")
(data (i32.const 3328) "\ff\fe\c0\80")
(func (export "describe") (param i32 i32 i32) (result i32) (i32.const 3072))
(func (export "reconcile") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 4096))
