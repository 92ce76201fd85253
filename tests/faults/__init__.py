"""Faults for tests and labs: connections, processes, disks, clocks and networks that fail when they are told to.

Every fault is a context manager or a single call, random ones are decided by a seed, and each has a test that it bites.

    proxy.py      a TCP proxy: delay, jitter, throttle, corruption, partition, half-open, reset, orderly end
    processes.py  SIGKILL and SIGSTOP at moments that a seed decides
    disk.py       a small disk that can be filled (tmpfs; needs root)
    clock.py      a wall clock that jumps (libfaketime)
    network.py    two hosts and a cable that can be unplugged (network namespaces; needs root)
"""
