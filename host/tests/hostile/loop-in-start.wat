;;! start: it ran for more than
(func $loop (loop (br 0)))
(start $loop)
(func (export "reconcile") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 4096))
