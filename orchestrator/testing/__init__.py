"""Contract suites: what every implementation of a protocol promises, as tests to subclass."""
