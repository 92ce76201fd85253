"""MQTT sink: messages of machines to a broker, QoS 1 over mutual TLS (README.md of this folder)."""
