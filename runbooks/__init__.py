"""Guarded remediation: a fault that is proven leads to one small, bounded, undoable action.

An alert opens an episode on one target; two independent kinds of evidence (or one hard fact) and every
guard must agree; the intent is on disk before anything is done; what was done is verified and, if it
does not hold, undone. Each decision is a sentence in the audit log.

engine.py decides and does nothing; executor.py and kubernetes.py do, and decide nothing but to stop.
"""
