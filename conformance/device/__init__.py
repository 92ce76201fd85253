"""The device target: a machine tool's OPC UA server, what is asked of it, and how it is found out."""
