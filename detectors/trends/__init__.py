"""Trends: what grows or shrinks steadily, and when it will reach its limit."""
