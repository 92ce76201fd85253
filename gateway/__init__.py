"""The gateway: source -> outbox -> sink; knows no protocol."""
