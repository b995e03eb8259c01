;;! call: it ran for more than
(func (export "reconcile") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 4096))
(func (export "cabi_post_reconcile") (param i32) (loop (br 0)))
