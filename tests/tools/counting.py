"""The counting machines, in a server that refuses TransferSubscriptions where AREA4_REFUSE_TRANSFER is set.

`python -m simulators --kind tests.tools.counting:first`
"""

from __future__ import annotations

import os
from typing import Any

from asyncua import ua

from simulators.opcua.subscriptions import Subscriptions
from tests.reliability.machines import Counting, first, second

__all__ = ["Counting", "first", "second"]


async def _refuse(_service: Subscriptions, params: Any, *_: Any) -> list[ua.TransferResult]:
    return [ua.TransferResult(ua.StatusCode(ua.StatusCodes.BadUserAccessDenied)) for _ in params.SubscriptionIds]


if os.environ.get("AREA4_REFUSE_TRANSFER"):
    Subscriptions.transfer_subscriptions = _refuse  # type: ignore[method-assign]  # before the server is made
