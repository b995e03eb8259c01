;;! call: it trapped: 
;; One action, at 8192, which is none.
(data (i32.const 4104) "\00\20\00\00\01\00\00\00")
(data (i32.const 8192) "\63")
(func (export "reconcile") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 4096))
