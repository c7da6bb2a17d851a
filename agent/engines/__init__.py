"""The serving engines of this node: found, scraped, probed and judged by their progress."""
