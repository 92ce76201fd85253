"""A small MQTT broker (3.1.1 and 5, mutual TLS), right by default, breakable in single ways: the broker mutants."""
