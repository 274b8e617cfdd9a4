"""Where jobs run: in this process (`inline`) or as Ray Tune trials (`ray_executor`)."""
