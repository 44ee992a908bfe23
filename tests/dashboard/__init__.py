"""The dashboard over a real run: Prometheus scrapes an operator and answers the queries."""
