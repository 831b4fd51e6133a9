"""The one error for situations a reader can mend: no data, no network, a broken file."""


class CourseError(RuntimeError):
    """Something outside the code is missing or broken; the message says what to do about it."""
