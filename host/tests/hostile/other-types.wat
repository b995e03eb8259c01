;;! start: it does not fit the world
(func (export "reconcile") (param f64) (result f64) (local.get 0))
