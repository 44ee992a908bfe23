"""The fields of log records, for tests of the lines that modules log."""

import logging

from scriptix_operator.log_fields import FIELDS


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """The fields that log_fields.py gave a record."""
    return {name: value for name, value in vars(record).items() if name in FIELDS}
