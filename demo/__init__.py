"""`make demo`: the operator at work on a real API server, with a simulated Scriptix API.

`__main__` reads the arguments, `story` tells what happens in which order. The servers belong to a
process of their own, `services`, which `background` starts and stops.
"""
