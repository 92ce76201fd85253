"""What is asked of an MQTT broker: mutual TLS, identities, QoS 1, sessions, MQTT 5."""
