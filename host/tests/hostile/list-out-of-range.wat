;;! call: it trapped: 
;; Actions from 0x7fffff00 on, one.
(data (i32.const 4104) "\00\ff\ff\7f\01\00\00\00")
(func (export "reconcile") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 4096))
