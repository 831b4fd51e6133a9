"""What a page knows and does not say: texts that open with the right key, numbers as hashes.

`static/lesson.js` has the same two functions. This keeps answers out of the page's source, where a
reader would stumble over them; it is no secret from someone who takes the script apart.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator

from gnet_utils.exercises import Exercise

STEP = 0.05  # a number that is no known mistake is too small or too large: told to within 5%


def hashed(text: str) -> int:
    """32 bits of `text` (FNV-1a over its code points)."""
    value = 0x811C9DC5
    for character in text:
        value = (value ^ ord(character)) * 0x01000193 % 2**32
    return value


def name_of(key: str) -> str:
    """Under which name a text that opens with `key` is kept."""
    return f"{hashed('1' + key)}-{hashed(key + '2')}"


def seal(key: str, text: str) -> str:
    """`text`, readable with `key` only."""
    content = text.encode()
    stream = (hashed(f"{key}|{place}") >> 11 & 255 for place in range(len(content)))
    return base64.b64encode(bytes(map(int.__xor__, content, stream))).decode()


def level(value: float) -> int:
    """In which step of a scale a number lies: logarithmic above a millionth, on both sides of 0."""
    return math.floor(math.asinh(value * 1e6) / STEP)


def number_table(name: str, exercise: Exercise) -> dict:
    """What the page needs to judge a number as `exercises.check` does.

    Each verdict opens with the number that leads to it, rounded to some decimals (`digits`): so
    one must have the number to read it. Many numbers can lead to one verdict.
    """
    texts, verdicts, digits = [], {}, set()
    for value, around in _intervals(exercise):
        places = 3 if around == 0 else 1 - math.floor(math.log10(around * 2))
        cell = 10.0**-places
        for n in range(math.ceil((value - around) / cell), math.floor((value + around) / cell) + 1):
            number = round(n * cell, max(0, places))
            said = exercise.judge(number)
            if said and said.endswith(("is too small.", "is too large.")):
                continue
            text = f"Right: {exercise.right}" if said is None else said.partition(": ")[2]
            if text not in texts:
                texts.append(text)
            key = f"{name}|{places}|{n}"
            verdicts.setdefault(name_of(key), seal(key, f"{texts.index(text)} {_lock(name, text)}"))
            digits.add(places)
    return {
        "digits": sorted(digits, reverse=True),
        "whole": not exercise.tolerance,
        "level": level(exercise.value),
        "verdicts": verdicts,
        "texts": [seal(_lock(name, text), text) for text in texts],
    }


def _lock(name: str, text: str) -> str:
    return f"{hashed(name + text):08x}"


def _intervals(exercise: Exercise) -> Iterator[tuple[float, float]]:
    """(number, how far around it) of what `exercises.number` has a sentence for."""
    value, tolerance = exercise.value, exercise.tolerance
    yield value, tolerance
    for wrong in exercise.mistakes:
        rounding = 0.0 if float(wrong).is_integer() else 0.0005 * abs(wrong)
        yield wrong, max(rounding, min(tolerance, abs(wrong) / 20))
    for digits in (2, 3):
        yield float(f"{value:.{digits}g}"), 0.0
    for unit in (1_000, 1_000_000):
        if value > unit:
            yield value / unit, 0.005 * value / unit
