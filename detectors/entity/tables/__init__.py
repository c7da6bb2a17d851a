"""What is looked at of each kind of entity, with reasons. docs/entities.md lists it."""
