;;! call: it trapped: 
;; One action, at 8192: to apply what is beyond all memory.
(data (i32.const 4104) "\00\20\00\00\01\00\00\00")
(data (i32.const 8192) "\00\00\00\00" "\00\00\00\7f\04\00\00\00")
(func (export "reconcile") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 4096))
