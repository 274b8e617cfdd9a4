"""Who stops trials early: functions of the reports at a milestone, without state."""
