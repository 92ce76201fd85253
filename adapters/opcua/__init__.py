"""OPC UA source: one connection per server."""
