"""The kinds of integrations that a receiver may have, one a file, with Alertmanager's own keys."""
