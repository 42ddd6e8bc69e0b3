"""The conformance suite: what every plugin must keep to, as a command (`vestige validate`) and as pytest tests.

    import pytest
    from vestige.testing import Check, checks

    @pytest.mark.parametrize("check", checks("shrink", kind="method"), ids=str)
    def test_conforms(check: Check) -> None:
        check()

Everything runs on small synthetic data and a tiny T5, in this process, in seconds.
"""

from vestige.testing.cells import tiny_context
from vestige.testing.check import Check, Fault, Verdict
from vestige.testing.made import tiny_results
from vestige.testing.suite import checks, validate
from vestige.testing.world import tiny_task

__all__ = ["Check", "Fault", "Verdict", "checks", "tiny_context", "tiny_results", "tiny_task", "validate"]
