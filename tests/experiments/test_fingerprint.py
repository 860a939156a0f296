from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq_lightning.experiments.fingerprint import fingerprint

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_it_is_the_hash_of_canonical_json_for_ever() -> None:
    canonical = b'{"a":[1,2.5,null],"b":{"\\u00fc":true}}'
    expected = hashlib.sha256(canonical).hexdigest()[:12]
    assert fingerprint({"b": {"ü": True}, "a": [1, 2.5, None]}) == expected
    assert fingerprint({}) == "44136fa355b3"  # printf '{}' | sha256sum


@settings(deadline=None)
@given(st.dictionaries(st.text(), PLAIN, max_size=4), PLAIN)
def test_order_does_not_matter_and_every_value_does(parts: dict[str, object], other: object) -> None:
    assert fingerprint(dict(reversed(parts.items()))) == fingerprint(parts)
    changed = {**parts, "new key": other}
    assert "new key" in parts or fingerprint(changed) != fingerprint(parts)


def test_what_has_no_one_spelling_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        fingerprint({"a": float("nan")})
    with pytest.raises(TypeError, match="set"):
        fingerprint({"a": {1}})
