"""What people look at: numbers with units, tables, plots, and a sweep while it runs."""
