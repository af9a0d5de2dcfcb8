"""WIRE BETWEEN PROCESSES: front ends that speak HTTP, and the one engine that they ask."""
