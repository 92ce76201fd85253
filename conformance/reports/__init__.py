"""The forms of a report: terminal, page, JSON, JUnit, SARIF, comparison, signature; each is made from the one model."""
