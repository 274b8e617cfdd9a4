"""What measurements show: paired outcomes, comparisons, verdicts, and the sizing study."""
