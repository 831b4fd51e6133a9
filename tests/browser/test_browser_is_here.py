"""The one line that says that no test looked at anything in a browser."""

import pytest


def test_there_is_a_browser(missing):
    if missing:
        pytest.skip(f"NO BROWSER TESTS WERE RUN: install {' and '.join(missing)}")
