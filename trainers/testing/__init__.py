"""Contract suites: what everything that is brought along must keep; run by pytest."""
