"""Sweeps as jobs of a cluster: what is sent, and what must outlive the job."""
