"""The name of a training run, made of everything that decides its numbers."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def fingerprint(parts: dict[str, Any], digits: int = 12) -> str:
    """The first hexadecimal digits of the SHA-256 of ``parts`` as canonical JSON.

    The order of keys does not matter; every value does. Plain values only: anything else is a TypeError, NaN a
    ValueError, because neither has one spelling.
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:digits]
