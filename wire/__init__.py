"""The forms in which metrics travel: exposition text, frames, annotation templates, HTTP client settings.

Standard library only (settings: pydantic), so the node agent can use all of it.
"""
