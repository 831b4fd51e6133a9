"""The errors that are no fault of the code: a command says their message without a traceback."""


class CourseError(RuntimeError):
    """Something outside the code is missing or broken; the message says what to do about it."""


class UsageError(CourseError, ValueError):
    """Something was asked for that cannot be had; the message says what can."""
