"""What the operator is granted, beside what it asks the API server for."""
