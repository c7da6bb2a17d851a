"""What is known of the metrics of engines, GPUs and hosts: type, unit, edges, and when they came and went."""
