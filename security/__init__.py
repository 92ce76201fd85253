"""Certificates, trust and TLS; knows neither OPC UA nor MQTT libraries."""
