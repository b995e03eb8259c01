;;! call: it trapped: 
;; Neither `ok` nor `err`.
(data (i32.const 4096) "\07")
(func (export "reconcile") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 4096))
