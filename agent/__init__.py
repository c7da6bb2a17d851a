"""The node agent: reads the host, its GPUs and its serving engines, exports them and pushes them.

A process of its own, small enough to forget: it imports model/ and wire/ only, and no numpy.
"""
