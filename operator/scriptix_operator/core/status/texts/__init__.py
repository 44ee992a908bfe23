"""All sentences of conditions, events, failures and logs that users read, one function for each.

The functions take plain values. `shown` registers each function with the reasons that it is shown
for, so that docs/reference/conditions-and-events.md has every sentence.
"""
