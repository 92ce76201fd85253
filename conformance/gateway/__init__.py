"""The gateway target: any gateway reads a simulated machine; what it brings to a broker is held against the truth."""
