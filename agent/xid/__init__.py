"""XID and SXid: what the driver reports by events and in the kernel log, counted once, and its meaning."""
