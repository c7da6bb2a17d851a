"""Why did this page, and why did that not: the whole chain of an alert, from samples to answers."""
