"""The resource as users see it: names, spec, status, reasons, and the CRD made from them."""
