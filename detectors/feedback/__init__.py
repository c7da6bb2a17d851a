"""What people said of anomalies, and the weight that follows from it: a series beside the score."""
