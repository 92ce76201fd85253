"""Simulated machine tools: physical models without any protocol, and the OPC UA server that shows them."""
