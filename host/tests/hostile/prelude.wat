;; What each guest in this folder has. A guest is a core module made of what its own file says, this file, and `describe`
;; and `cabi_realloc` of the files of these names where its own has none. Addresses from 1024 on are for constants, from
;; 4096 on for answers, from 65536 on for what the host passes.
(memory (export "memory") 4)
(global $free (mut i32) (i32.const 65536))
(data (i32.const 1024) "apps/v1ReplicaSet")
;; The answer of `describe`: `ok`, the name and the version `apps`, one watch, nothing owned, no finalizer.
(data (i32.const 2048) "\00\00\00\00" "\00\04\00\00\04\00\00\00" "\00\04\00\00\04\00\00\00" "\00\09\00\00\01\00\00\00")
;; The watch: apps/v1 ReplicaSet, and none of the rest.
(data (i32.const 2304) "\00\04\00\00\07\00\00\00" "\07\04\00\00\0a\00\00\00")
