"""Part programs of the simulated machines, as files."""
