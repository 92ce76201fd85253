"""The OPC UA server that shows simulated machines as instances of the official companion specifications."""
