"""The state database: what must outlive the process is on disk before it is acknowledged.

Each room owns its tables (a Schema); this room opens the database, keeps the schema versions,
moves them forward, and turns what a disk can do to us into one exception that callers survive.
"""
