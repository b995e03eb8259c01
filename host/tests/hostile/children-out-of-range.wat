;;! call: it trapped: 
(data (i32.const 4112) "\01\00\00\00\00\00\00\7f\01\00\00\00")
(func (export "reconcile") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 4096))
