;;! start: it does not fit the world

