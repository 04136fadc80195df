"""Compares Culvert with stock OpenVPN on the same machine and the same work; `scripts/bench` is the way in."""
