"""What an engine or a GPU has to do, and what of its samples says something about it."""
