;;! start: it ran for more than
(func (export "describe") (param i32 i32 i32) (result i32) (loop (br 0)) (unreachable))
(func (export "reconcile") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 4096))
