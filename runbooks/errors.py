"""What the Kubernetes API can answer instead of doing what it was asked.

KubeError       refused, and a repetition would be refused too (403, 404, 422)
  Conflict      the node is no longer as it was read (409)
  Unanswered    no certain answer: a timeout, a lost connection, 429, 5xx; what was asked may have been done
  WritesPaused  remediation is paused; nothing was sent
"""

from __future__ import annotations


class KubeError(Exception):
    """The API server refused, or was not asked; the message is a sentence."""


class Conflict(KubeError):
    """The node is no longer as it was read."""


class Unanswered(KubeError):
    """No certain answer; look before you ask again."""


class WritesPaused(KubeError):
    """Remediation is paused; nothing was sent."""
