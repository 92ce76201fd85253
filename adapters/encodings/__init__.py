"""From the stored common JSON of a message to what a sink publishes; each encoding sees the model alone."""
