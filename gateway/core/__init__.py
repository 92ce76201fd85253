"""Pure state machines: no asyncio, time is passed in."""
