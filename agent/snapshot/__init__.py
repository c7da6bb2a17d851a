"""What series say about nodes, their GPUs and their engines, as a person would ask: pure functions."""
