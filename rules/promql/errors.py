"""What can be wrong with an expression: when it is loaded, and when it meets the data."""


class PromQLError(Exception):
    """The text is no PromQL; the message says why."""


class Unsupported(PromQLError):
    """It is PromQL, but asks for something that is not supported; the message names it."""


class EvaluationError(Exception):
    """The expression has no answer on this data, as Prometheus means it: duplicates, ambiguous matches."""
