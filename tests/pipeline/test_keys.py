"""Equal values give equal keys, and nothing else does."""

import pytest

from vestige.pipeline.keys import canonical, key_of


def test_order_does_not_matter_and_content_does() -> None:
    assert key_of({"a": 1, "b": [1, 2]}) == key_of({"b": [1, 2], "a": 1})
    assert key_of({"a": 1}) != key_of({"a": 2})
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"a": float("nan")})
