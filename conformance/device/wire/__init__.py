"""OPC UA over TCP by hand: what a client must be able to do wrong to find out what a server does about it."""
