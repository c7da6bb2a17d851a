"""Alertmanager's model: routes, grouping, the notification log, and the receivers.

`dispatch.Dispatcher` decides what is to be sent, without a clock and without a socket;
`sender.Sender` sends it. What was decided is kept before it leaves, what was answered after.
"""
