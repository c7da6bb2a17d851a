"""The central process: it composes the rooms into one tick and performs the effects that they ask for."""
