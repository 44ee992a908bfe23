"""The terms that all decisions share: the resource, the remote model, texts, backoff."""
