;; Prints what it is called with: `reconcile apps/v1 ReplicaSet default web`. A WASI command, written by hand.
(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))

  ;; 0: how many arguments; 4: their bytes; 8: what to write, its address and length; 16: how much was written;
  ;; 64: the addresses of the arguments; 128: the arguments, one after the other, each ended by a zero.
  (memory (export "memory") 1)

  (func (export "_start") (local $at i32) (local $end i32)
    (if (call $args_sizes_get (i32.const 0) (i32.const 4)) (then unreachable))
    (if (call $args_get (i32.const 64) (i32.const 128)) (then unreachable))

    ;; Each zero becomes a space, and the last one a line feed.
    (local.set $at (i32.const 128))
    (local.set $end (i32.add (local.get $at) (i32.load (i32.const 4))))
    (loop $next
      (if (i32.eqz (i32.load8_u (local.get $at))) (then (i32.store8 (local.get $at) (i32.const 32))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $at) (local.get $end))))
    (i32.store8 (i32.sub (local.get $end) (i32.const 1)) (i32.const 10))

    ;; All but the first one, which is the name of the plugin.
    (i32.store (i32.const 8) (i32.load (i32.const 68)))
    (i32.store (i32.const 12) (i32.sub (local.get $end) (i32.load (i32.const 68))))
    (if (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16)) (then unreachable))))
