"""Pure decisions: no I/O, no clock, no asyncio. Facts go in, frozen decisions come out."""
