"""`make demo`: the operator at work on a real API server, with a simulated Scriptix API.

`__main__` reads the arguments, `story` runs the demo. The servers run in a separate process,
`services`, which `background` starts and stops.
"""
