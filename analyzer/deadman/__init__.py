"""Dead men: a child process that watches this one, and the watchdogs of other Prometheus servers."""
