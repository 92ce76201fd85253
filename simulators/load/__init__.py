"""An OPC UA server that is only a load: many machines, many signals, at least 100,000 changes a second to a subscriber.

What is slow in a server written in Python is left out: no model runs, no value is kept in the address space, no object
is made for a change. The value of a signal is a function of the number of its change, and the DataChangeNotification
of a publication is written straight into one buffer. Channel, session, browsing and the services of subscriptions are
those of the other simulated servers.
"""
