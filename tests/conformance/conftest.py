"""Failures of cases say what differs, and the end of a run says how many there were."""

import pytest

pytest.register_assert_rewrite("tests.conformance.world")
