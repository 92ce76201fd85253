"""The report as one page: no network, no script of a target's, readable on paper and without JavaScript."""
