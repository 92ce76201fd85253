"""For all tests: properties are tried with the same examples on every run, and never judged by the computer's speed.

A run that must find something new takes `HYPOTHESIS_PROFILE=random`.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_SLOW = [HealthCheck.too_slow]

settings.register_profile("steady", derandomize=True, deadline=None, suppress_health_check=_SLOW, print_blob=True)
settings.register_profile("random", deadline=None, suppress_health_check=_SLOW, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))
