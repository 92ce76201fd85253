"""Logging, metrics, health, sd_notify."""
