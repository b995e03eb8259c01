;;! call: it trapped: 
;; Actions from 0 on, as many as can be said.
(data (i32.const 4104) "\00\00\00\00\ff\ff\ff\ff")
(func (export "reconcile") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 4096))
