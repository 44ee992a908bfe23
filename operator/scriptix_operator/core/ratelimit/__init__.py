"""How quotas work: configured limits, limits that the API is observed to apply, and permits."""
