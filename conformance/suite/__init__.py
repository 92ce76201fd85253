"""The conformance suite's core: checks, claims, outcomes, the run, the report. It knows no protocol."""
