"""What was measured lately: the window over every series, and the doors through which samples come in.

numpy starts on this floor. Nothing here reads a clock: the analyzer says what time it is.
"""
