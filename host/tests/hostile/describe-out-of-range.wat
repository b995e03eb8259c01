;;! start: it trapped: 
(func (export "describe") (param i32 i32 i32) (result i32) (i32.const 0x7ffffff8))
(func (export "reconcile") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 4096))
