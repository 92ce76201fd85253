"""The conformance suite: what vendors run against their own devices, gateways and brokers."""
